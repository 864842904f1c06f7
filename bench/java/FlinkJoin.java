import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Flink as a contender: a local mini-cluster with one slot joins bank transactions with keyed state of consents.
 *
 * <p>Arguments: bootstrap address, group, output topic, folder for a last savepoint, "exactly-once" or
 * "at-least-once", then settings as name=value: Flink's own, or the producer's behind "producer.", the consumer's
 * behind "consumer.".
 */
public final class FlinkJoin {
    private static final String CONSENTS = "consent.requests";
    private static final TypeInformation<Tuple3<String, byte[], Boolean>> KEYED =
            Types.TUPLE(Types.STRING, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO, Types.BOOLEAN);

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        Map<String, String> all = new HashMap<>();
        for (int i = 5; i < args.length; i++) {
            int split = args[i].indexOf('=');
            all.put(args[i].substring(0, split), args[i].substring(split + 1));
        }
        Properties producer = behind("producer.", all);
        Properties consumer = behind("consumer.", all);
        all.keySet().removeIf(name -> name.startsWith("producer.") || name.startsWith("consumer."));
        StreamExecutionEnvironment flink = StreamExecutionEnvironment.createLocalEnvironment(1, Configuration.fromMap(all));
        Map<Integer, Long> ends = ends(bootstrap);

        DataStream<Tuple3<String, byte[], Boolean>> consents = flink.fromSource(
                source(bootstrap, args[1], CONSENTS, consumer, new Keyed(ends)), WatermarkStrategy.noWatermarks(), CONSENTS, KEYED);
        DataStream<Tuple3<String, byte[], Boolean>> events = flink.fromSource(
                source(bootstrap, args[1], "bank.transactions", consumer, new Keyed(Map.of())),
                WatermarkStrategy.noWatermarks(), "events", KEYED);
        boolean isExact = args[4].equals("exactly-once");
        KafkaSink<byte[]> sink = KafkaSink.<byte[]>builder()
                .setBootstrapServers(bootstrap)
                .setKafkaProducerConfig(producer)
                .setDeliveryGuarantee(isExact ? DeliveryGuarantee.EXACTLY_ONCE : DeliveryGuarantee.AT_LEAST_ONCE)
                .setTransactionalIdPrefix(args[1])
                .setRecordSerializer(new ToTopic(args[2]))
                .build();
        consents.connect(events)
                .keyBy(consent -> consent.f0, event -> event.f0, Types.STRING)
                .process(new Join(ends.size()), PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
                .sinkTo(sink);
        JobClient job = flink.executeAsync("join");
        // A last savepoint commits what is in flight, as an operator would before an upgrade.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                job.stopWithSavepoint(false, args[3], SavepointFormatType.NATIVE).get();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        job.getJobExecutionResult().get();
    }

    private static Properties behind(String prefix, Map<String, String> settings) {
        Properties found = new Properties();
        settings.forEach((name, value) -> {
            if (name.startsWith(prefix)) {
                found.setProperty(name.substring(prefix.length()), value);
            }
        });
        return found;
    }

    private static KafkaSource<Tuple3<String, byte[], Boolean>> source(
            String bootstrap, String group, String topic, Properties settings, Keyed keyed) {
        return KafkaSource.<Tuple3<String, byte[], Boolean>>builder()
                .setBootstrapServers(bootstrap)
                .setGroupId(group)
                .setTopics(topic)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(keyed)
                .setProperties(settings)
                .build();
    }

    /** The ends of those partitions of the consents' topic that are not empty. */
    private static Map<Integer, Long> ends(String bootstrap) {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                Map.of("bootstrap.servers", bootstrap), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.partitionsFor(CONSENTS).stream()
                    .map(one -> new TopicPartition(CONSENTS, one.partition()))
                    .collect(Collectors.toList()));
            return ends.entrySet().stream()
                    .filter(one -> one.getValue() > 0)
                    .collect(Collectors.toMap(one -> one.getKey().partition(), Map.Entry::getValue));
        }
    }

    /** Key and value of a record, and whether it was the last of its partition when the job began. */
    private static final class Keyed implements KafkaRecordDeserializationSchema<Tuple3<String, byte[], Boolean>> {
        private final HashMap<Integer, Long> ends;

        Keyed(Map<Integer, Long> ends) {
            this.ends = new HashMap<>(ends);
        }

        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple3<String, byte[], Boolean>> out) {
            Long end = ends.isEmpty() ? null : ends.get(record.partition());
            String key = new String(record.key(), java.nio.charset.StandardCharsets.ISO_8859_1);
            out.collect(Tuple3.of(key, record.value(), end != null && record.offset() == end - 1));
        }

        @Override
        public TypeInformation<Tuple3<String, byte[], Boolean>> getProducedType() {
            return KEYED;
        }
    }

    /** Consents are the state of their key; events that come before all consents of the start are kept back. */
    private static final class Join extends KeyedCoProcessFunction<
            String, Tuple3<String, byte[], Boolean>, Tuple3<String, byte[], Boolean>, byte[]> {
        private static final long PATIENCE_MS = 20;
        private int missing;
        private int waiting;
        private transient Slices slices;
        private transient ValueState<byte[]> policy;
        private transient ListState<byte[]> early;

        Join(int partitions) {
            missing = partitions;
        }

        @Override
        public void open(OpenContext context) {
            TypeInformation<byte[]> bytes = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
            slices = new Slices();
            policy = getRuntimeContext().getState(new ValueStateDescriptor<>("policy", bytes));
            early = getRuntimeContext().getListState(new ListStateDescriptor<>("early", bytes));
        }

        @Override
        public void processElement1(Tuple3<String, byte[], Boolean> consent, Context context, Collector<byte[]> out)
                throws IOException {
            policy.update(slices.policy(consent.f1));
            if (consent.f2) {
                missing--;
            }
        }

        @Override
        public void processElement2(Tuple3<String, byte[], Boolean> event, Context context, Collector<byte[]> out)
                throws Exception {
            if (missing == 0 && waiting == 0) {
                tell(event.f1, out);
                return;
            }
            if (!early.get().iterator().hasNext()) {
                waiting++;
                context.timerService().registerProcessingTimeTimer(soon(context.timerService().currentProcessingTime()));
            }
            early.add(event.f1);
        }

        @Override
        public void onTimer(long timestamp, OnTimerContext context, Collector<byte[]> out) throws Exception {
            if (missing > 0) {
                context.timerService().registerProcessingTimeTimer(soon(context.timerService().currentProcessingTime()));
                return;
            }
            for (byte[] event : early.get()) {
                tell(event, out);
            }
            early.clear();
            waiting--;
        }

        private static long soon(long current) {
            return current + PATIENCE_MS;
        }

        private void tell(byte[] event, Collector<byte[]> out) throws IOException {
            byte[] allowed = policy.value();
            byte[] notification = allowed == null ? null : slices.notification(event, allowed);
            if (notification != null) {
                out.collect(notification);
            }
        }
    }

    /** Notifications under their recipient. */
    private static final class ToTopic implements KafkaRecordSerializationSchema<byte[]> {
        private final String topic;

        ToTopic(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(byte[] notification, KafkaSinkContext context, Long timestamp) {
            return new ProducerRecord<>(topic, Slices.recipient(notification), notification);
        }
    }
}
