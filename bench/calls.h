/* Every client keeps calls in flight. Included by loadgen.c alone.
 *
 * With --batch 1 the calls that one read causes leave in one write. As all calls of a client start
 * together they then stay together, answers included, and what is measured is the work on messages.
 * With --batch 0 each call leaves in a write of its own, as from an application whose calls have nothing
 * to do with each other: that measures system calls, those of this generator first of all, so look at
 * cpu_us then and not at the rate.
 */

enum {
    ID_DIGITS = 8,        /* of a callbackId */
    LARGEST_ID = 99999999,
    BUCKET_US = 10,       /* latencies are counted in buckets this wide, */
    BUCKETS = 200 * 1000, /* up to two seconds */
};

typedef struct {
    uint32_t id; /* 0: no call is under way */
    double asked_at;
} Call;

static Frame call_frame; /* ends with the id, ID_DIGITS digits wide, and "} */
static Call *calls_under_way;
static uint32_t latencies[BUCKETS];

/* The calls of one client: as many as --inflight says. */
static Call *calls_of(Client *c) { return calls_under_way + number_of(c) * (int)opt.inflight; }

static void send_call(Client *c, Call *call) {
    static uint32_t last_id;
    last_id = last_id % LARGEST_ID + 1; /* new for each call, so that an answer given twice is found out */
    *call = (Call){last_id, now};
    uint8_t *digit = call_frame.bytes + call_frame.size - strlen("\"}");
    uint32_t rest = last_id;
    for (int i = 0; i < ID_DIGITS; i++, rest /= 10) *--digit = (uint8_t)('0' + rest % 10);
    queue(call_frame.bytes, call_frame.size);
    sent++;
    if (!opt.batch) flush(c);
}

/* Returns the call that this answers, after a look that it is an answer and no refusal. */
static Call *answered_call(Client *c, const char *text, size_t size) {
    static const char NAME[] = "\"callbackId\":\"";
    if (memmem(text, size, "\"error\":", 8)) fail("client %d was refused: %.*s", number_of(c), (int)size, text);
    const char *at = memmem(text, size, NAME, sizeof NAME - 1);
    uint32_t id = at ? (uint32_t)atoi(at + sizeof NAME - 1) : 0; /* it ends at the closing quote at the latest */
    Call *call = calls_of(c), *end = call + (int)opt.inflight;
    while (call < end && call->id != id) call++;
    if (!id || call == end)
        fail("client %d received an answer to nothing it asks: %.*s", number_of(c), (int)size, text);
    return call;
}

static void take_answer(Client *c, const char *text, size_t size) {
    if (!memmem(text, size, "\"callbackId\"", 12)) return; /* an event of the server's own */
    Call *call = answered_call(c, text, size);
    double bucket = (now - call->asked_at) * 1e6 / BUCKET_US;
    latencies[bucket < BUCKETS ? (int)bucket : BUCKETS - 1]++;
    call->id = 0;
    received++;
    if (!draining) send_call(c, call);
}

/* Milliseconds that this share of the answers took at most. */
static double latency(double share, double answers) {
    double seen = 0;
    int bucket = 0;
    while (bucket < BUCKETS - 1 && (seen += latencies[bucket]) < share * answers) bucket++;
    return (bucket + 1) * (BUCKET_US / 1000.0);
}

static void start_calls(void) {
    calls_under_way = calloc((size_t)(opt.clients * opt.inflight), sizeof *calls_under_way);
    if (!calls_under_way) fail("out of memory");
    call_frame = text_frame("{\"event\":\"%s\",\"payload\":%s,\"callbackId\":\"%0*d\"}", opt.event, opt.payload,
                            ID_DIGITS, 0);
    for (Client *c = clients; c < clients + opened; c++) {
        now = clock_seconds(CLOCK_MONOTONIC);
        for (int i = 0; i < (int)opt.inflight; i++) send_call(c, calls_of(c) + i);
        flush(c);
    }
}

static void calls(void) {
    open_clients((int)opt.clients);
    on_message = take_answer;
    start_calls();
    run_for(opt.warmup);
    memset(latencies, 0, sizeof latencies);
    Reading a = take_reading();
    run_for(opt.seconds);
    Reading b = take_reading();
    double answers = received_between(&a, &b), p50 = latency(0.50, answers), p99 = latency(0.99, answers);
    draining = true;
    run_until_received(sent);
    report(&a, &b, "answers", answers);
    printf(", \"inflight\": %d, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n", (int)opt.inflight, p50, p99);
}
