/* How long messages and answers took. Included by loadgen.c alone. */
enum {
    BUCKET_US = 10,       /* latencies are counted in buckets this wide, */
    BUCKETS = 200 * 1000, /* up to two seconds */
};

static uint32_t latencies[BUCKETS];

static void count_latency(double began) {
    double bucket = (now - began) * 1e6 / BUCKET_US;
    latencies[bucket < BUCKETS ? (int)bucket : BUCKETS - 1]++;
}

static void forget_latencies(void) { memset(latencies, 0, sizeof latencies); }

/* Milliseconds that this share of them took at most. */
static double latency_of(double share, double count) {
    double seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += latencies[bucket]) < share * count) bucket++;
    return (bucket + 1) * (BUCKET_US / 1000.0);
}

typedef struct {
    double p50_ms, p99_ms;
} Latencies;

/* Takes them before what is still under way is waited for. */
static Latencies take_latencies(double count) { return (Latencies){latency_of(0.50, count), latency_of(0.99, count)}; }

static void report_latencies(Latencies taken) {
    printf(", \"inflight\": %d, \"p50_ms\": %.2f, \"p99_ms\": %.2f", (int)opt.inflight, taken.p50_ms, taken.p99_ms);
}
