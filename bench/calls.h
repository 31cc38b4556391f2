/* Every client keeps calls in flight. Included by loadgen.c alone.
 *
 * With --batch 1 the calls that one read causes leave in one write. As all calls of a client start
 * together they then stay together, answers included, and what is measured is the work on messages.
 * With --batch 0 each call leaves in a write of its own, as from an application whose calls have nothing
 * to do with each other: that measures system calls, those of this generator first of all, so look at
 * cpu_us then and not at the rate.
 */

typedef struct {
    uint32_t id; /* 0: no call is under way */
    double asked_at;
} Call;

static Frame call_frame;
static uint8_t *id_end; /* in the frame, right behind the last digit */
static Call *calls_under_way;

/* The calls of one client: as many as --inflight says. */
static Call *calls_of(Client *c) { return calls_under_way + number_of(c) * (int)opt.inflight; }

static void send_call(Client *c, Call *call) {
    static uint32_t last_id = FIRST_ID;
    last_id = last_id == LAST_ID ? FIRST_ID : last_id + 1; /* new for each call, so that an answer given twice is found out */
    *call = (Call){last_id, now};
    uint8_t *digit = id_end;
    for (uint32_t rest = last_id; rest; rest /= 10) *--digit = (uint8_t)('0' + rest % 10);
    queue(call_frame.bytes, call_frame.size);
    sent++;
    if (!opt.batch) flush(c);
}

/* Returns the call of the client that this id is of. */
static Call *call_with(Client *c, uint32_t id) {
    Call *call = calls_of(c), *end = call + (int)opt.inflight;
    while (call < end && call->id != id) call++;
    if (call == end) fail("client %d received an answer to nothing it asks: %u", number_of(c), id);
    return call;
}

static void take_answer(Client *c, const char *text, size_t size) {
    uint32_t id = answered_id(c, text, size);
    if (!id) return; /* an event of the server's own */
    Call *call = call_with(c, id);
    count_latency(call->asked_at);
    call->id = 0;
    received++;
    if (!draining) send_call(c, call);
}

/* Formats the frame of a call, and finds where the id of each goes. */
static void format_call(void) {
    char digits[16];
    int size = snprintf(digits, sizeof digits, "%d", FIRST_ID);
    call_frame = call_frame_of(opt.event, opt.payload, FIRST_ID);
    id_end = (uint8_t *)memmem(call_frame.bytes, call_frame.size, digits, (size_t)size) + size;
}

static void start_calls(void) {
    calls_under_way = calloc((size_t)(opt.clients * opt.inflight), sizeof *calls_under_way);
    if (!calls_under_way) fail("out of memory");
    format_call();
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
    Measured m = measure();
    draining = true;
    run_until_received(sent);
    report_measured(&m, "answers");
    puts("}");
}
