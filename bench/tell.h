/* Users tell users, on other nodes as a rule. Included by loadgen.c alone.
 *
 * The clients are pairs: 2p sends to its partner 2p + 1, whose connection is on the next node. What arrives there
 * frees the next message of the pair. With --batch 1 those that one read frees leave in one write.
 */
static Frame *lines; /* of each pair */
static double *told_at; /* of each pair's messages under way, message k in place k % MAX_INFLIGHT */
static int freed;    /* messages of the partner being served that have arrived in this read */
static Client *partner;

static Client *sender_to(Client *c) { return &clients[number_of(c) & ~1]; }

/* Spreads the senders over the first --senders nodes, and puts each partner on the node after its sender's. */
static int node_of_pair(int number) {
    int senders = opt.senders ? (int)opt.senders : ports.count;
    return (number / 2 % senders + number % 2) % ports.count;
}

static double *told_at_of(Client *c, uint32_t message) {
    return &told_at[number_of(c) / 2 * MAX_INFLIGHT + (int)(message % MAX_INFLIGHT)];
}

static void send_line(Client *c) {
    Frame *line = &lines[number_of(c) / 2];
    *told_at_of(c, c->received) = now;
    queue(line->bytes, line->size);
    sent++;
    c->received++; /* of a sender: what its partner is to receive */
    if (!opt.batch) flush(c);
}

/* Its first answer tells that its user can be reached from every node. */
static void greet(Client *c) {
    static Frame hello;
    if (!hello.size) hello = call_frame_of("hello", "{}", FIRST_ID);
    queue(hello.bytes, hello.size); /* the reader flushes to the client it has just opened */
    (void)c;
}

static void take_greeting(Client *c, const char *text, size_t size) {
    if (!answered_id(c, text, size))
        fail("client %d was not greeted: %.*s", number_of(c), (int)size, text);
    received++;
}

/* Looks into the first message only: all are alike, so the others must have its size. */
static void take_line(Client *c, const char *text, size_t size) {
    static size_t told_size;
    bool is_told = told_size ? size == told_size
                             : memmem(text, size, "\"told\"", 6) && memmem(text, size, text_of(0), strlen(text_of(0)));
    if (!is_told || !(number_of(c) & 1))
        fail("client %d received something else than what it was told: %.*s", number_of(c), (int)size, text);
    told_size = size;
    count_latency(*told_at_of(c, c->received));
    if (++c->received > sender_to(c)->received) fail("client %d was told more than was sent", number_of(c));
    received++;
    freed++;
    partner = c;
}

static void tell_more(void) {
    if (!freed) return;
    Client *c = sender_to(partner);
    for (; freed; freed--)
        if (!draining) send_line(c);
    flush(c);
}

/* Every partner must have all that was sent to it. */
static void check_lines(void) {
    draining = true;
    run_until_received(sent);
    for (Client *c = clients; c < clients + opened; c += 2)
        if (c[1].received != c->received)
            fail("client %d was told %u of %u messages", number_of(c + 1), c[1].received, c->received);
}

static void start_lines(void) {
    int pairs = (int)opt.clients / 2;
    lines = calloc((size_t)pairs, sizeof *lines);
    told_at = calloc((size_t)pairs * MAX_INFLIGHT, sizeof *told_at);
    if (!lines || !told_at) fail("out of memory");
    for (int p = 0; p < pairs; p++) {
        char *payload = formatted("{\"to\":\"%d\",\"text\":\"%s\"}", 2 * p + 1, text_of(0));
        lines[p] = event_frame(opt.event, payload);
        free(payload);
        now = clock_seconds(CLOCK_MONOTONIC);
        for (int i = 0; i < (int)opt.inflight; i++) send_line(&clients[2 * p]);
        flush(&clients[2 * p]);
    }
}

static void meet(void) {
    node_of = node_of_pair;
    on_open = greet;
    on_message = take_greeting;
    open_clients((int)opt.clients);
    run_until_received((uint64_t)opened);
    received = 0;
}

static void tell(void) {
    if ((int)opt.clients % 2) fail("tell wants an even number of clients");
    meet();
    on_message = take_line;
    on_read = tell_more;
    start_lines();
    Measured m = measure();
    check_lines();
    report_measured(&m, "messages");
    puts("}");
}
