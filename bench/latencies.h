/* Measuring for a while, and how long messages and answers took. Included by loadgen.c alone, after usage.h.
 *
 * They are counted in buckets, STEPS of them in each power of two of microseconds: below 128 µs they are exact to the
 * microsecond, above to 1/64.
 */
enum {
    STEPS = 64,
    STEPS_BITS = 6,
    BUCKETS = (32 - STEPS_BITS + 1) * STEPS, /* for all that 32 bits of microseconds hold: more than an hour */
};

static uint32_t latencies[BUCKETS];

static int bucket_of(uint32_t us) {
    if (us < 2 * STEPS) return (int)us;
    int shift = 31 - __builtin_clz(us) - STEPS_BITS; /* leaves STEPS to 2 * STEPS - 1 */
    return shift * STEPS + (int)(us >> shift);
}

/* The most microseconds that are counted in this bucket. */
static double most_in(int bucket) {
    if (bucket < 2 * STEPS) return bucket;
    int shift = bucket / STEPS - 1;
    return (double)(((uint64_t)(bucket % STEPS + STEPS + 1) << shift) - 1);
}

static void count_latency(double began) {
    double us = (now - began) * 1e6;
    latencies[bucket_of(us > 0 ? (uint32_t)us : 0)]++;
}

/* Milliseconds that this share of them took at most. */
static double latency_of(double share, double count) {
    double seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += latencies[bucket]) < share * count) bucket++;
    return most_in(bucket) / 1000;
}

typedef struct {
    Reading a, b;          /* when it began and ended */
    double count;          /* what was received between them */
    double p50_ms, p99_ms;
} Measured;

/* With --gate 1: tells that everything is under way, and waits for those that are to be measured at the same time. */
static void wait_at_gate(void) {
    char line[8];
    puts("READY");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) fail("the gate was not opened");
}

/* Measures for --seconds after the warmup, and until something has arrived: on a machine that stands still nothing may
 * have. What is under way at the end is not counted. */
static Measured measure(void) {
    Measured m;
    if (opt.gate) wait_at_gate();
    run_for(opt.warmup);
    memset(latencies, 0, sizeof latencies);
    m.a = take_reading();
    run_for(opt.seconds);
    run_until_received(m.a.received + 1);
    m.b = take_reading();
    m.count = received_between(&m.a, &m.b);
    m.p50_ms = latency_of(0.50, m.count);
    m.p99_ms = latency_of(0.99, m.count);
    return m;
}

/* Prints it: all of the JSON line but its end. */
static void report_measured(const Measured *m, const char *unit) {
    report(&m->a, &m->b, unit, m->count);
    printf(", \"inflight\": %d, \"p50_ms\": %.3f, \"p99_ms\": %.3f", (int)opt.inflight, m->p50_ms, m->p99_ms);
}
