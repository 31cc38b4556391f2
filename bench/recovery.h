/* Clients of one room come back and get what they missed. Included by loadgen.c alone.
 *
 * A member says --missed messages into the room and leaves. Then --clients connect, each with the position that the
 * member had before, and join. It counts the seconds until each has $room, which must say that it was recovered, and
 * all messages; and the server's CPU.
 */
static const char RECOVERED[] = "\"recovered\":true";
static char offered[128];     /* the member's position before the messages */
static bool is_member_known;

/* Takes what the member hears: first $room, then the answer to its join, then its own messages. */
static void take_as_member(Client *c, const char *text, size_t size) {
    if (memmem(text, size, "\"error\":", 8)) fail("the member may not join: %.*s", (int)size, text);
    const char *at = memmem(text, size, "\"at\":\"", 6);
    if (!is_member_known && at && memmem(text, size, "\"$room\"", 7)) {
        const char *end = memchr(at + 6, '"', size - (size_t)(at + 6 - text));
        size_t length = end ? (size_t)(end - at - 6) : 0;
        if (!length || length >= sizeof offered) fail("the room has no position: %.*s", (int)size, text);
        memcpy(offered, at + 6, length);
        is_member_known = true;
    }
    if (memmem(text, size, SAYING, sizeof SAYING - 1)) c->received++, received++;
}

static void take_recovered(Client *c, const char *text, size_t size) {
    if (memmem(text, size, "\"$room\"", 7)) {
        if (!memmem(text, size, RECOVERED, sizeof RECOVERED - 1))
            fail("client %d was not recovered: %.*s", number_of(c), (int)size, text);
        return;
    }
    if (memmem(text, size, "\"error\":", 8)) fail("client %d may not join: %.*s", number_of(c), (int)size, text);
    if (!memmem(text, size, SAYING, sizeof SAYING - 1)) return; /* $ready, or the answer */
    if (++c->received > (uint32_t)opt.missed) fail("client %d got more than it missed", number_of(c));
    received++;
}

static void say_missed(void) {
    Frame line = publication_of(SAYING);
    for (uint64_t i = 0; i < (uint64_t)opt.missed; i++) {
        queue(line.bytes, line.size);
        if (outbox_size > MAX_FRAME / 2) flush(&clients[0]);
    }
    flush(&clients[0]);
    run_until_received((uint64_t)opt.missed);
}

static void recovery(void) {
    is_in_room = true;
    on_open = join;
    on_message = take_as_member;
    open_clients(1);
    while (!is_member_known) turn();
    say_missed();
    received = 0;

    char path[256];
    snprintf(path, sizeof path, "%s&_cw_at=%s", opt.path, offered);
    opt.path = path;
    on_message = take_recovered;
    uint64_t missed = (uint64_t)opt.missed * (uint64_t)opt.clients;
    Reading a = take_reading();
    open_clients((int)opt.clients);
    run_until_received(missed);
    Reading b = take_reading();
    report(&a, &b, "recoveries", opt.clients);
    puts("}");
}
