import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** The join as one writes it first in Java: every value decoded into an Avro record, a notification built of them. */
final class Records {
    private static final List<String> LEVELS = List.of("UNKNOWN", "ACTIVITY_ONLY", "AMOUNT", "AMOUNT_MERCHANT", "FULL");
    private final Schema schema;

    Records(Schema notification) {
        schema = notification;
    }

    /** Builds the notification of an event under the consent that a request grants; null where none is due. */
    GenericRecord notification(GenericRecord event, GenericRecord request) {
        GenericRecord consent = (GenericRecord) request.get("consent");
        if (consent == null || !"GRANT".equals(request.get("action").toString())) {
            return null;
        }
        Long minimum = (Long) ((GenericRecord) consent.get("preferences")).get("min_amount_minor");
        long amount = (Long) event.get("amount_minor");
        if (!isReceiptAllowed(consent) || minimum != null && Math.abs(amount) < minimum) {
            return null;
        }
        String user = request.get("user_id").toString();
        long occurredAt = (Long) event.get("occurred_at");
        int level = LEVELS.indexOf(consent.get("detail_level").toString());
        String key = String.join("\u001f", user, event.get("subject").toString(), "RECEIPT",
                event.get("event_id").toString(), event.get("status").toString(), Long.toString(amount));
        GenericRecordBuilder made = new GenericRecordBuilder(schema)
                .set("notification_id", uuid5(key).toString())
                .set("recipient", user)
                .set("kind", symbol("kind", "RECEIPT"))
                .set("purpose", symbol("purpose", "RECEIPT"))
                .set("template_key", "receipt")
                .set("priority", 3)
                .set("push", symbol("push", "REGULAR"))
                .set("occurred_at", occurredAt)
                .set("decided_at", System.currentTimeMillis())
                .set("not_before", occurredAt)
                .set("not_after", occurredAt + Slices.SIX_HOURS_MS)
                .set("source_event_id", event.get("event_id"))
                .set("subject_label", "")
                .set("consent_version", 1L);
        for (String name : List.of("consent_id", "channel_ref", "detail_level", "locale", "timezone")) {
            made.set(name, consent.get(name));
        }
        if (level >= 2) {
            copy(event, made, "status", "amount_minor", "currency");
        }
        if (level >= 3) {
            copy(event, made, "merchant_name", "merchant_country");
        }
        if (level >= 4) {
            copy(event, made, "category");
        }
        return made.build();
    }

    private static boolean isReceiptAllowed(GenericRecord consent) {
        for (Object purpose : (List<?>) consent.get("purposes")) {
            if ("RECEIPT".equals(purpose.toString())) {
                return true;
            }
        }
        return false;
    }

    private static void copy(GenericRecord event, GenericRecordBuilder made, String... names) {
        for (String name : names) {
            made.set(name, event.get(name));
        }
    }

    private GenericData.EnumSymbol symbol(String field, String name) {
        return new GenericData.EnumSymbol(schema.getField(field).schema(), name);
    }

    private static UUID uuid5(String name) {
        try {
            MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
            sha1.update(Slices.NAMESPACE);
            ByteBuffer digest = ByteBuffer.wrap(sha1.digest(name.getBytes(StandardCharsets.UTF_8)));
            long high = digest.getLong() & ~0xf000L | 0x5000L;
            long low = digest.getLong() & 0x3fffffffffffffffL | 0x8000000000000000L;
            return new UUID(high, low);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    static Schema schema(String folder, String name) {
        try {
            return new Schema.Parser().parse(new File(folder, name + ".avsc"));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** A serde of Avro records behind Confluent's frame: a zero byte and the schema's number. */
    static final class Framed implements Serde<GenericRecord> {
        private final Schema schema;
        private final int id;

        Framed(Schema schema, int id) {
            this.schema = schema;
            this.id = id;
        }

        @Override
        public Serializer<GenericRecord> serializer() {
            GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
            ByteArrayOutputStream out = new ByteArrayOutputStream(512);
            BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
            byte[] frame = ByteBuffer.allocate(5).putInt(1, id).array();
            return (topic, record) -> {
                if (record == null) {
                    return null;
                }
                try {
                    out.reset();
                    out.write(frame);
                    writer.write(record, encoder);
                    return out.toByteArray();
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            };
        }

        @Override
        public Deserializer<GenericRecord> deserializer() {
            GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
            BinaryDecoder[] reused = new BinaryDecoder[1];
            return (topic, bytes) -> {
                if (bytes == null) {
                    return null;
                }
                try {
                    reused[0] = DecoderFactory.get().binaryDecoder(bytes, 5, bytes.length - 5, reused[0]);
                    return reader.read(null, reused[0]);
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            };
        }
    }
}
