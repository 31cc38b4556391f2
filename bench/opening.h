/* What it takes to connect, and to stay. Included by loadgen.c alone. */
/* ---- connect ---- */

static void connect_all(void) {
    Reading a = take_reading();
    open_clients((int)opt.clients);
    Reading b = take_reading();
    run_for(opt.hold);
    report(&a, &b, "connections", opt.clients);
    puts("}");
}

/* ---- idle ---- */

enum { FIRST_ROOM = 1000 };

/* The room of a client: with --members there are several, of so many clients each. */
static int room_of(int number) { return opt.members ? number / (int)opt.members : 0; }

static void join(Client *c) {
    char payload[64];
    snprintf(payload, sizeof payload, "{\"room_id\":\"%d\"}", FIRST_ROOM + room_of(number_of(c)));
    Frame call = call_frame_of("join", payload, FIRST_ID);
    queue(call.bytes, call.size); /* the reader flushes to the client it has just opened */
    free(call.bytes);
    sent++;
}

static void take_join(Client *c, const char *text, size_t size) {
    if (answered_id(c, text, size)) received++;
}

/* Opens clients, each of which joins its room. */
static void open_members(int count) {
    on_open = join;
    on_message = take_join;
    open_clients(count);
    run_until_received((uint64_t)opened);
}

/* Opens and joins clients, and lets the server come to rest. Returns its memory in bytes. */
static double rss_after_opening(int count) {
    open_members(count);
    run_for(1);
    return rss_of(server_pids.items[0]);
}

/* The first clients warm the server's allocator up and stay, so that the others show what one more costs. */
static void idle(void) {
    if (!server_pids.count) fail("idle needs --server-pid");
    double before = rss_after_opening((int)opt.warm), after = rss_after_opening((int)opt.clients);
    printf("{\"clients\": %d, \"warm\": %d, \"rss_before\": %.0f, \"rss_after\": %.0f, \"bytes_per_client\": %.0f}\n",
           (int)opt.clients, (int)opt.warm, before, after, (after - before) / opt.clients);
}
