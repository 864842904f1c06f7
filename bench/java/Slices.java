import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;

/**
 * The join on Avro bytes, for the tuned contenders: what a consent allows is encoded once, a match copies slices.
 *
 * <p>Fields and their order are those of schemas/consent_request.avsc, bank_transaction.avsc, notification.avsc.
 * An instance belongs to one thread.
 */
public final class Slices {
    static final byte[] NAMESPACE = hex("1b5eb6ff3e374091bfeb9304ea67c482");
    static final String[] STATUS = {"UNKNOWN", "PENDING", "POSTED", "REVERSED", "DECLINED", "REMOVED"};
    static final long SIX_HOURS_MS = 6 * 3_600_000L;
    private static final int FRAME = 5;
    private static final byte NOTIFICATION_ID = 9;
    private static final int GRANT = 1;
    private static final int RECEIPT = 2;
    private static final int NULLS_AT_END = 14;
    private static final byte SEPARATOR = 0x1f;
    private static final byte[] RECEIPT_BETWEEN = "\u001fRECEIPT\u001f".getBytes(StandardCharsets.US_ASCII);
    private static final byte[][] STATUS_BYTES =
            Arrays.stream(STATUS).map(name -> name.getBytes(StandardCharsets.US_ASCII)).toArray(byte[][]::new);
    private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

    private final MessageDigest sha1;
    private final byte[] digest = new byte[20];
    private byte[] in;
    private int at;
    private byte[] out = new byte[1024];
    private int end;

    public Slices() {
        try {
            sha1 = MessageDigest.getInstance("SHA-1");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    /**
     * Encodes what a consent allows: detail level, least amount, recipient, and the parts of a notification that
     * are the same for each of its events. Null where receipts are not allowed.
     */
    public byte[] policy(byte[] request) {
        in = request;
        at = FRAME;
        skipText(); // request_id
        skipText(); // subject
        if (readLong() == 0) {
            return null;
        }
        int userAt = at;
        skipText();
        int userEnd = at;
        int action = (int) readLong();
        readLong(); // requested_at
        readLong(); // requested_by
        if (action != GRANT || readLong() == 0) {
            return null;
        }
        int idAt = at;
        skipText(); // consent_id
        int idEnd = at;
        readLong(); // version
        boolean isReceiptAllowed = false;
        for (long count = readLong(); count != 0; count = readLong()) {
            for (; count > 0; count--) {
                isReceiptAllowed |= readLong() == RECEIPT;
            }
        }
        int level = (int) readLong();
        readLong(); // direction
        int channelAt = at;
        skipText();
        int channelEnd = at;
        readLong(); // effective_at
        readLong(); // valid_until
        if (readLong() == 1) {
            readLong(); // revoked_at
        }
        skipText(); // notice_id
        skipText(); // notice_hash
        int localeAt = at;
        skipText(); // locale
        skipText(); // timezone
        int timezoneEnd = at;
        long minimum = readLong() == 1 ? readLong() : 0;
        if (!isReceiptAllowed) {
            return null;
        }
        makeRoom(2 * request.length);
        end = 0;
        put((byte) level);
        putLong(minimum);
        copy(userAt, userEnd);
        int sizeAt = end;
        end += 2;
        copy(userAt, userEnd); // recipient
        copy(channelAt, channelEnd);
        putLong(1); // kind RECEIPT
        putLong(RECEIPT); // purpose
        putText("receipt"); // template_key
        putLong(level);
        copy(localeAt, timezoneEnd);
        putLong(3); // priority
        putLong(1); // push REGULAR
        int size = end - sizeAt - 2;
        out[sizeAt] = (byte) (size >> 8);
        out[sizeAt + 1] = (byte) size;
        putText(""); // subject_label
        copy(idAt, idEnd); // consent_id
        putLong(1); // consent_version
        return Arrays.copyOf(out, end);
    }

    /** Encodes the notification of an event under a policy; null where the amount is too small. */
    public byte[] notification(byte[] event, byte[] policy) {
        in = policy;
        at = 0;
        int level = in[at++];
        long minimum = readLong();
        int userSize = (int) readLong();
        int userAt = at;
        at += userSize;
        int headSize = (in[at] & 0xff) << 8 | in[at + 1] & 0xff;
        int headAt = at + 2;
        int tailAt = headAt + headSize;

        in = event;
        at = FRAME;
        int eventIdSize = (int) readLong();
        int eventIdAt = at;
        at += eventIdSize;
        int subjectSize = (int) readLong();
        int subjectAt = at;
        at += subjectSize;
        long occurredAt = readLong();
        int status = (int) readLong();
        int amountAt = at;
        long amount = readLong();
        int currencyAt = at;
        if (Math.abs(amount) < minimum) {
            return null;
        }
        skipText(); // currency
        int currencyEnd = at;

        sha1.update(NAMESPACE);
        sha1.update(policy, userAt, userSize);
        sha1.update(SEPARATOR);
        sha1.update(event, subjectAt, subjectSize);
        sha1.update(RECEIPT_BETWEEN);
        sha1.update(event, eventIdAt, eventIdSize);
        sha1.update(SEPARATOR);
        sha1.update(STATUS_BYTES[status]);
        sha1.update(SEPARATOR);
        sha1.update(Long.toString(amount).getBytes(StandardCharsets.ISO_8859_1));

        makeRoom(event.length + policy.length);
        end = FRAME;
        out[FRAME - 1] = NOTIFICATION_ID;
        putId();
        System.arraycopy(policy, headAt, out, end, headSize);
        end += headSize;
        putLong(occurredAt);
        putLong(System.currentTimeMillis());
        putLong(occurredAt);
        putLong(occurredAt + SIX_HOURS_MS);
        putLong(eventIdSize);
        copy(eventIdAt, eventIdAt + eventIdSize);
        System.arraycopy(policy, tailAt, out, end, policy.length - tailAt);
        end += policy.length - tailAt;
        if (level >= 2) {
            putLong(1);
            putLong(status);
            putLong(1);
            copy(amountAt, currencyAt);
            putLong(1);
            copy(currencyAt, currencyEnd);
        } else {
            putNulls(3);
        }
        putNulls(2); // original amount and currency
        if (level >= 3) {
            skipOptionalText(); // lifecycle_id
            skipOptionalText(); // supersedes_event_id
            if (readLong() == 1) {
                readLong(); // original_amount_minor
            }
            skipOptionalText(); // original_currency
            int merchantAt = at;
            skipOptionalText(); // merchant_name
            skipOptionalText(); // merchant_country
            copy(merchantAt, at);
            if (level >= 4) {
                skipOptionalText(); // mcc
                int categoryAt = at;
                skipOptionalText();
                copy(categoryAt, at);
            } else {
                putNulls(1);
            }
        } else {
            putNulls(3);
        }
        putNulls(NULLS_AT_END);
        return Arrays.copyOf(out, end);
    }

    /** Cuts the recipient out of a notification: it follows the id, and is shorter than 64 bytes in this workload. */
    public static byte[] recipient(byte[] notification) {
        int at = FRAME + 1 + 36;
        int size = notification[at] >> 1;
        return Arrays.copyOfRange(notification, at + 1, at + 1 + size);
    }

    private void putId() {
        try {
            sha1.digest(digest, 0, digest.length);
        } catch (java.security.DigestException error) {
            throw new IllegalStateException(error);
        }
        digest[6] = (byte) (digest[6] & 0x0f | 0x50);
        digest[8] = (byte) (digest[8] & 0x3f | 0x80);
        putLong(36);
        for (int i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10) {
                put((byte) '-');
            }
            put(DIGITS[digest[i] >> 4 & 0xf]);
            put(DIGITS[digest[i] & 0xf]);
        }
    }

    private long readLong() {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte next = in[at++];
            value |= (next & 0x7fL) << shift;
            if (next >= 0) {
                return value >>> 1 ^ -(value & 1);
            }
        }
    }

    private void skipText() {
        int size = (int) readLong();
        at += size;
    }

    private void skipOptionalText() {
        if (readLong() == 1) {
            skipText();
        }
    }

    /** The rest of a notification, its id and times, is less than 256 bytes. */
    private void makeRoom(int size) {
        if (out.length < size + 256) {
            out = new byte[size + 256];
        }
    }

    private void put(byte value) {
        out[end++] = value;
    }

    private void putLong(long value) {
        long rest = value << 1 ^ value >> 63;
        for (; (rest & ~0x7fL) != 0; rest >>>= 7) {
            put((byte) (rest | 0x80));
        }
        put((byte) rest);
    }

    private void putNulls(int count) {
        for (int i = 0; i < count; i++) {
            put((byte) 0);
        }
    }

    private void putText(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        putLong(bytes.length);
        System.arraycopy(bytes, 0, out, end, bytes.length);
        end += bytes.length;
    }

    private void copy(int from, int to) {
        System.arraycopy(in, from, out, end, to - from);
        end += to - from;
    }

    private static byte[] hex(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text, 2 * i, 2 * i + 2, 16);
        }
        return bytes;
    }
}
