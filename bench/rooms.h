/* Many small rooms. Included by loadgen.c alone, after opening.h.
 *
 * Each room has --members clients, and its first one says something that all of them receive. --inflight rooms have a
 * message under way, one each. When all members have it the room queues up, and the room that has waited longest is
 * next; with as many under way as there are rooms, each always has one. What is said names the room, so that a message
 * in a wrong room is found out.
 */
enum { LABEL_SIZE = 11 };

typedef struct {
    char label[LABEL_SIZE + 1]; /* which what is said begins with */
    Frame line;
    double said_at;
    uint32_t said;    /* messages */
    uint32_t missing; /* members that do not have the last one */
} Room;

static Room *chats;
static int *waiting;                  /* numbers of rooms, a ring */
static int first_waiting, waiting_count, under_way;

static int chat_count(void) { return (int)(opt.clients / opt.members); }

static void let_wait(int number) { waiting[(first_waiting + waiting_count++) % chat_count()] = number; }

static void say_in(int number) {
    Room *room = &chats[number];
    room->said++;
    room->missing = (uint32_t)opt.members;
    room->said_at = now;
    queue(room->line.bytes, room->line.size);
    flush(&clients[number * (int)opt.members]);
    sent++;
    under_way++;
}

static void say_more(void) {
    for (; !draining && waiting_count && under_way < (int)opt.inflight; waiting_count--) {
        say_in(waiting[first_waiting]);
        first_waiting = (first_waiting + 1) % chat_count();
    }
}

/* Looks where the first message has its label: all others must have theirs there, and its size. */
static void take_in_room(Client *c, const char *text, size_t size) {
    static size_t first_size;
    static ssize_t label_at;
    int number = room_of(number_of(c));
    Room *room = &chats[number];
    if (!first_size) {
        const char *at = memmem(text, size, room->label, LABEL_SIZE);
        label_at = at && memmem(text, size, "\"news\"", 6) ? at - text : -1;
        first_size = size;
    }
    if (label_at < 0 || size != first_size || memcmp(text + label_at, room->label, LABEL_SIZE) != 0)
        fail("client %d received something else than what was said in its room: %.*s", number_of(c), (int)size, text);
    if (++c->received > room->said) fail("client %d received more than was said", number_of(c));
    count_latency(room->said_at);
    received++;
    if (--room->missing) return;
    under_way--;
    let_wait(number);
}

static void prepare_rooms(void) {
    chats = calloc((size_t)chat_count(), sizeof *chats);
    waiting = calloc((size_t)chat_count(), sizeof *waiting);
    if (!chats || !waiting) fail("out of memory");
    for (int i = 0; i < chat_count(); i++) {
        snprintf(chats[i].label, sizeof chats[i].label, "room-%06u", (unsigned)(FIRST_ROOM + i) % 1000000);
        char *payload = formatted("{\"room_id\":\"%d\",\"text\":\"%s%s\"}", FIRST_ROOM + i, chats[i].label,
                                  text_of((uint64_t)i) + LABEL_SIZE);
        chats[i].line = event_frame(opt.event, payload);
        free(payload);
        let_wait(i);
    }
}

/* Every member must have all that was said in its room. */
static void check_rooms(void) {
    draining = true;
    run_until_received(sent * (uint64_t)opt.members);
    for (Client *c = clients; c < clients + opened; c++) {
        uint32_t said = chats[room_of(number_of(c))].said;
        if (c->received != said) fail("client %d received %u of %u messages", number_of(c), c->received, said);
    }
}

static void rooms(void) {
    if (opt.members < 1 || (int)opt.clients % (int)opt.members) fail("rooms wants clients for whole rooms of --members");
    open_members((int)opt.clients);
    sent = received = 0;
    prepare_rooms();
    on_message = take_in_room;
    on_read = say_more;
    now = clock_seconds(CLOCK_MONOTONIC);
    say_more();
    Measured m = measure();
    check_rooms();
    report_measured(&m, "deliveries");
    printf(", \"rooms\": %d, \"messages\": %.0f, \"bytes\": %.0f}\n", chat_count(), m.count / opt.members,
           bytes_between(&m.a, &m.b));
}
