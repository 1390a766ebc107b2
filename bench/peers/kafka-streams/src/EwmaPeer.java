import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams as a peer: an EWMA z-score per series on one stream thread, anomalies written to a topic.
 *
 * <p>Arguments: bootstrap servers, input topic, output topic, application id, warm records, records, and the
 * state's durability: "changelog", "cached" (changelog behind the record cache) or "none". The store is the
 * in-memory one, and the value is found in the JSON without a parser: both are the fastest choices.
 */
public final class EwmaPeer {
    private static final String STORE = "series";
    private static final double RATE = 0.02;
    private static final double ALARM = 6.0;
    private static final byte[] FIELD = "\"value\":".getBytes(StandardCharsets.US_ASCII);

    private EwmaPeer() {}

    public static void main(String[] args) throws Exception {
        String durability = args[6];
        long warm = Long.parseLong(args[4]);
        long records = Long.parseLong(args[5]);
        CountDownLatch done = new CountDownLatch(1);

        StoreBuilder<KeyValueStore<byte[], byte[]>> store = Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray());
        store = durability.equals("none") ? store.withLoggingDisabled() : store.withLoggingEnabled(Map.of());
        store = durability.equals("cached") ? store.withCachingEnabled() : store.withCachingDisabled();

        Topology topology = new Topology();
        topology.addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), args[1]);
        topology.addProcessor("detect", () -> new Detector(warm, records, done), "in");
        topology.addStateStore(store, "detect");
        topology.addSink("out", args[2], Serdes.ByteArray().serializer(), Serdes.ByteArray().serializer(), "detect");

        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[3]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 5000);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("kafka-streams-peer").toString());
        settings.put("auto.offset.reset", "earliest");
        settings.put("producer.compression.type", "lz4");
        try (KafkaStreams streams = new KafkaStreams(topology, settings)) {
            streams.start();
            done.await();
        }
    }

    /** Exponentially weighted mean and variance of one series; a sample far from the mean is an anomaly. */
    private static final class Detector implements Processor<byte[], byte[], byte[], byte[]> {
        private static long count; // of the one stream thread's tasks together

        private final long warm;
        private final long records;
        private final CountDownLatch done;
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> store;

        Detector(long warm, long records, CountDownLatch done) {
            this.warm = warm;
            this.records = records;
            this.done = done;
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            this.store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            double value = valueOf(record.value());
            byte[] held = store.get(record.key());
            ByteBuffer state = held == null ? ByteBuffer.allocate(24) : ByteBuffer.wrap(held.clone());
            long seen = state.getLong(0);
            double mean = seen == 0 ? value : state.getDouble(8);
            double variance = state.getDouble(16);
            double change = value - mean;
            boolean anomaly = seen > 30 && Math.abs(change) > ALARM * Math.sqrt(variance);
            mean += RATE * change;
            variance = (1 - RATE) * (variance + RATE * change * change);
            state.putLong(0, seen + 1).putDouble(8, mean).putDouble(16, variance);
            store.put(record.key(), state.array());
            if (anomaly) {
                context.forward(record);
            }
            count++;
            if (count == warm) {
                tell("warm", count);
            }
            if (count == records) {
                tell("done", count);
                done.countDown();
            }
        }
    }

    private static double valueOf(byte[] json) {
        int start = json.length;
        search:
        for (int at = json.length - FIELD.length; at >= 0; at--) {
            for (int i = 0; i < FIELD.length; i++) {
                if (json[at + i] != FIELD[i]) {
                    continue search;
                }
            }
            start = at + FIELD.length;
            break;
        }
        return Double.parseDouble(new String(json, start, json.length - 1 - start, StandardCharsets.US_ASCII));
    }

    private static void tell(String event, long records) {
        double at = System.currentTimeMillis() / 1000.0;
        System.out.printf("{\"event\": \"%s\", \"at\": %.3f, \"records\": %d}%n", event, at, records);
        System.out.flush();
    }
}
