import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams as a contender: bank transactions joined with a KTable of consents.
 *
 * <p>Arguments: output topic, folder of schemas, "tuned" or "idiomatic", "memory" or "rocksdb", then settings of
 * Kafka Streams as name=value.
 */
public final class StreamsJoin {
    private static final String STORE = "consents";
    private static final Duration GRACE = Duration.ofSeconds(20);

    public static void main(String[] args) throws InterruptedException {
        Properties settings = new Properties();
        for (int i = 4; i < args.length; i++) {
            int split = args[i].indexOf('=');
            settings.setProperty(args[i].substring(0, split), args[i].substring(split + 1));
        }
        boolean isInMemory = args[3].equals("memory");
        Topology topology = args[2].equals("tuned") ? tuned(args[0], isInMemory) : idiomatic(args[0], args[1], isInMemory);
        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(GRACE);
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }

    /** Byte arrays all the way: the table keeps what a consent allows in encoded form, only matches are looked into. */
    private static Topology tuned(String output, boolean isInMemory) {
        Slices ofConsents = new Slices();
        Slices ofEvents = new Slices();
        Serde<byte[]> bytes = Serdes.ByteArray();
        Materialized<byte[], byte[], KeyValueStore<Bytes, byte[]>> kept = Materialized.as(store(isInMemory));
        kept = kept.withKeySerde(bytes).withValueSerde(bytes);
        StreamsBuilder builder = new StreamsBuilder();
        KTable<byte[], byte[]> policies = builder.stream("consent.requests", Consumed.with(bytes, bytes))
                .mapValues(ofConsents::policy)
                .toTable(isInMemory ? kept.withCachingDisabled() : kept);
        builder.stream("bank.transactions", Consumed.with(bytes, bytes))
                .join(policies, ofEvents::notification)
                .filter((subject, notification) -> notification != null)
                .selectKey((subject, notification) -> Slices.recipient(notification))
                .to(output, Produced.with(bytes, bytes));
        return builder.build();
    }

    /** As the documentation of Kafka Streams teaches it: Avro serdes, records joined, a record written. */
    private static Topology idiomatic(String output, String schemas, boolean isInMemory) {
        Schema notification = Records.schema(schemas, "notification");
        Records records = new Records(notification);
        Serde<GenericRecord> requests = new Records.Framed(Records.schema(schemas, "consent_request"), 6);
        Serde<GenericRecord> events = new Records.Framed(Records.schema(schemas, "bank_transaction"), 1);
        Serde<GenericRecord> notifications = new Records.Framed(notification, 9);
        Materialized<String, GenericRecord, KeyValueStore<Bytes, byte[]>> kept = Materialized.as(store(isInMemory));
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, GenericRecord> consents =
                builder.table("consent.requests", Consumed.with(Serdes.String(), requests), kept);
        builder.stream("bank.transactions", Consumed.with(Serdes.String(), events))
                .join(consents, records::notification)
                .filter((subject, made) -> made != null)
                .selectKey((subject, made) -> made.get("recipient").toString())
                .to(output, Produced.with(Serdes.String(), notifications));
        return builder.build();
    }

    private static KeyValueBytesStoreSupplier store(boolean isInMemory) {
        return isInMemory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
    }
}
