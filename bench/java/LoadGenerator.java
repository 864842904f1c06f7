import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Open-loop load: sends bank transactions at fixed times, reads the notifications, and notes how long each took.
 *
 * <p>Event number i is due at start + i / rate. If sending falls behind, the next event goes out at once, but its
 * latency still counts from when it was due: no coordinated omission. The due time is in the event's id, in
 * microseconds, and in occurred_at, in milliseconds; a notification repeats the id. Both ends read one clock, that
 * of this process. Before the schedule starts, probes are sent until one of every partition has come back.
 *
 * <p>Arguments: bootstrap, input topic, output topic, template file, result file, events a second, events, linger.ms.
 * Templates, see `write_templates` in bench/latency.py. The result file holds, for each event, an int of the microseconds from
 * due to received (-1: nothing received), then for each an int of the microseconds that it was sent late. The last
 * line of the standard output is a JSON object.
 */
public final class LoadGenerator {
    private static final byte[] MARK = "latency-".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
    private static final int ID_AT = 6; // after the frame and the length of the id
    private static final int KIND_AT = 8;
    private static final int NUMBER_AT = 9;
    private static final int NUMBER_DIGITS = 9;
    private static final int DUE_AT = 18;
    private static final int DUE_DIGITS = 14;
    private static final long PROBE_EVERY_NS = 100_000_000L;
    private static final long PROBE_LIMIT_NS = 180_000_000_000L;
    private static final long QUIET_LIMIT_NS = 30_000_000_000L;
    private static final long SETTLE_NS = 1_000_000_000L;
    private static final long NAP_NS = 500_000L; // with shorter ones it would wake for each event, and take half a core from the others
    private static final int ANSWERED_NOTHING = 3;
    private static final byte PROBE = 2;

    /** One event without its id and time. */
    private record Template(int partition, byte told, int timeAt, byte[] key, byte[] value) {
        boolean notifies() {
            return told > 0;
        }
    }

    private final String input;
    private final double nanosPerEvent;
    private final int events;
    private final Template[] templates;
    private final KafkaProducer<byte[], byte[]> producer;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final int[] latency;
    private final int[] lateness;
    private final AtomicReference<Exception> failure = new AtomicReference<>();
    private final Callback onSent = (place, error) -> {
        if (error != null) {
            failure.compareAndSet(null, error);
        }
    };
    private final long anchorNanos = System.nanoTime();
    private final long anchorMicros = ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    private final boolean[] answered;

    private volatile boolean probing = true;
    private volatile boolean stopped;
    private volatile long startMicros = Long.MAX_VALUE;
    private volatile long lastArrivalNanos;
    private volatile int received;
    private volatile int probesAnswered;
    private int duplicates;
    private int strangers;

    private LoadGenerator(String[] args) throws IOException {
        input = args[1];
        templates = read(Path.of(args[3]));
        nanosPerEvent = 1e9 / Double.parseDouble(args[5]);
        events = Integer.parseInt(args[6]);
        latency = new int[events];
        lateness = new int[events];
        Arrays.fill(latency, -1);
        Map<String, Object> sending = new HashMap<>();
        sending.put("bootstrap.servers", args[0]);
        sending.put("linger.ms", args[7]);
        sending.put("compression.type", "lz4");
        producer = new KafkaProducer<>(sending, new ByteArraySerializer(), new ByteArraySerializer());
        Map<String, Object> receiving = new HashMap<>();
        receiving.put("bootstrap.servers", args[0]);
        receiving.put("isolation.level", "read_committed");
        receiving.put("enable.auto.commit", false);
        receiving.put("max.poll.records", 10_000);
        consumer = new KafkaConsumer<>(receiving, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> all = new ArrayList<>();
        consumer.partitionsFor(args[2]).forEach(one -> all.add(new TopicPartition(one.topic(), one.partition())));
        consumer.assign(all);
        consumer.seekToEnd(all);
        all.forEach(consumer::position);
        answered = new boolean[Arrays.stream(templates).mapToInt(Template::partition).max().orElse(0) + 1];
    }

    public static void main(String[] args) throws Exception {
        LoadGenerator load = new LoadGenerator(args);
        System.exit(load.run(Path.of(args[4])));
    }

    private int run(Path result) throws Exception {
        Thread receiver = new Thread(this::receive, "receiver");
        receiver.start();
        if (!probe()) {
            return ANSWERED_NOTHING;
        }
        probing = false;
        long expected = send();
        producer.flush();
        long quietSince = System.nanoTime();
        while (received < expected && failure.get() == null) {
            LockSupport.parkNanos(PROBE_EVERY_NS);
            if (System.nanoTime() - Math.max(quietSince, lastArrivalNanos) > QUIET_LIMIT_NS) {
                break;
            }
        }
        double drained = (Math.max(lastArrivalNanos, quietSince) - quietSince) / 1e9;
        LockSupport.parkNanos(SETTLE_NS);
        stopped = true;
        receiver.join();
        producer.close();
        if (failure.get() != null) {
            throw failure.get();
        }
        write(result);
        System.out.printf(
                "{\"expected\": %d, \"received\": %d, \"duplicates\": %d, \"strangers\": %d, \"drain_s\": %.3f}%n",
                expected, received, duplicates, strangers, drained);
        return 0;
    }

    /** Ask every partition, ten times a second, until each has answered. */
    private boolean probe() {
        Template[] asked = new Template[answered.length];
        for (Template one : templates) {
            if (one.told == PROBE) {
                asked[one.partition] = one;
            }
        }
        long giveUpAt = System.nanoTime() + PROBE_LIMIT_NS;
        while (probesAnswered < answered.length && failure.get() == null) {
            for (int partition = 0; partition < asked.length; partition++) {
                producer.send(message(asked[partition], 'p', partition, micros(System.nanoTime())), onSent);
            }
            LockSupport.parkNanos(PROBE_EVERY_NS);
            if (System.nanoTime() > giveUpAt) {
                return false;
            }
        }
        LockSupport.parkNanos(SETTLE_NS);
        return true;
    }

    /** Send all events when they are due, or at once if that is past; return how many must be notified. */
    private long send() {
        long start = System.nanoTime() + SETTLE_NS;
        startMicros = micros(start);
        long expected = 0;
        for (int number = 0; number < events && failure.get() == null; number++) {
            long due = start + (long) (number * nanosPerEvent);
            long now = System.nanoTime();
            while (now < due) {
                LockSupport.parkNanos(Math.max(due - now, NAP_NS));
                now = System.nanoTime();
            }
            lateness[number] = (int) ((now - due) / 1_000);
            Template template = templates[number % templates.length];
            producer.send(message(template, 'e', number, micros(due)), onSent);
            expected += template.notifies() ? 1 : 0;
        }
        return expected;
    }

    private ProducerRecord<byte[], byte[]> message(Template template, char kind, long number, long due) {
        byte[] value = template.value.clone();
        System.arraycopy(MARK, 0, value, ID_AT, MARK.length);
        value[ID_AT + KIND_AT] = (byte) kind;
        hex(value, ID_AT + NUMBER_AT, NUMBER_DIGITS, number);
        hex(value, ID_AT + DUE_AT, DUE_DIGITS, due);
        long rest = (due / 1_000) << 1; // Avro's zigzag of a positive number
        for (int at = template.timeAt; ; at++) {
            boolean isLast = (value[at] & 0x80) == 0;
            value[at] = (byte) (isLast ? rest : rest & 0x7F | 0x80);
            rest >>>= 7;
            if (isLast) {
                break;
            }
        }
        return new ProducerRecord<>(input, template.partition, template.key, value);
    }

    private void receive() {
        try (consumer) {
            while (!stopped) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                long nanos = System.nanoTime();
                long now = micros(nanos);
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    note(record.value(), now);
                    lastArrivalNanos = nanos;
                }
            }
        } catch (RuntimeException error) {
            failure.compareAndSet(null, error);
        }
    }

    private void note(byte[] value, long now) {
        int at = find(value);
        if (at < 0) {
            strangers++;
            return;
        }
        int number = (int) number(value, at + NUMBER_AT, NUMBER_DIGITS);
        long due = number(value, at + DUE_AT, DUE_DIGITS);
        if (value[at + KIND_AT] == 'p') {
            if (probing && due >= anchorMicros && !answered[number]) {
                answered[number] = true;
                probesAnswered++;
            }
        } else if (due >= startMicros) {
            if (number >= events) {
                strangers++;
            } else if (latency[number] >= 0) {
                duplicates++;
            } else {
                latency[number] = (int) (now - due);
                received += templates[number % templates.length].notifies() ? 1 : 0;
            }
        }
    }

    private static int find(byte[] value) {
        for (int at = 5; at + DUE_AT + DUE_DIGITS <= value.length; at++) {
            if (Arrays.equals(value, at, at + MARK.length, MARK, 0, MARK.length)) {
                return at;
            }
        }
        return -1;
    }

    private long micros(long nanos) {
        return anchorMicros + (nanos - anchorNanos) / 1_000;
    }

    private static void hex(byte[] into, int at, int digits, long number) {
        for (int place = at + digits - 1; place >= at; place--) {
            into[place] = HEX[(int) number & 0xF];
            number >>>= 4;
        }
    }

    private static long number(byte[] from, int at, int digits) {
        long number = 0;
        for (int place = at; place < at + digits; place++) {
            number = number << 4 | Character.digit(from[place], 16);
        }
        return number;
    }

    private static Template[] read(Path file) throws IOException {
        List<Template> templates = new ArrayList<>();
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 20))) {
            while (true) {
                int partition;
                try {
                    partition = in.readInt();
                } catch (EOFException end) {
                    return templates.toArray(Template[]::new);
                }
                byte told = in.readByte();
                int timeAt = in.readInt();
                byte[] key = in.readNBytes(in.readInt());
                byte[] value = in.readNBytes(in.readInt());
                templates.add(new Template(partition, told, timeAt, key, value));
            }
        }
    }

    private void write(Path file) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(8 * events);
        buffer.asIntBuffer().put(latency).put(lateness);
        try (FileChannel out =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            while (buffer.hasRemaining()) {
                out.write(buffer);
            }
        }
    }
}
