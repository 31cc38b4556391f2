/* How the clients speak: a table of the dialects of servers. Included by loadgen.c alone, after clients.h.
 *
 * An event has a name and a payload, which is JSON; a call has an id as well, which its answer repeats. A dialect that
 * has more to say when a connection opens, or heartbeats of its own, takes such messages in `take_control`.
 */
enum { FIRST_ID = 10000000, LAST_ID = 99999999 }; /* of calls: always as many digits, so that a frame is formatted once */

typedef struct {
    const char *name, *path;
    const char *event;                              /* format: the event's name, its payload */
    const char *call;                               /* format: the same and the id */
    uint32_t (*answered_id)(const char *, size_t);  /* returns 0 for a message that is no answer */
    bool (*take_control)(Client *, const char *, size_t); /* returns false for an event or an answer */
} Dialect;

static uint32_t id_in_json(const char *text, size_t size) {
    static const char NAME[] = "\"callbackId\":";
    const char *at = memmem(text, size, NAME, sizeof NAME - 1), *end = text + size;
    if (!at) return 0;
    for (at += sizeof NAME - 1; at < end && (*at == ' ' || *at == '"');) at++;
    return (uint32_t)atoi(at); /* it ends at the closing quote at the latest */
}

/* Socket.IO answers with 43, the id and an array. */
static uint32_t id_in_packet(const char *text, size_t size) {
    return size > 3 && memcmp(text, "43", 2) == 0 ? (uint32_t)atoi(text + 2) : 0;
}

/* Takes what Engine.IO and Socket.IO say to open and to stay: 0{...} is answered by 40, 2 by 3; 40{...} opens. */
static bool take_engine_packet(Client *c, const char *text, size_t size) {
    static const uint8_t CONNECT[] = {0x81, 0x82, 0, 0, 0, 0, '4', '0'}, PONG[] = {0x81, 0x81, 0, 0, 0, 0, '3'};
    if (text[0] == '0') return queue(CONNECT, sizeof CONNECT), true;
    if (text[0] == '2' && size == 1) return queue(PONG, sizeof PONG), true;
    if (text[0] != '4' || size < 2) fail("client %d received an unknown packet: %.*s", number_of(c), (int)size, text);
    if (text[1] == '4') fail("client %d was refused: %.*s", number_of(c), (int)size, text);
    if (text[1] != '0') return false;
    finish_opening(c);
    return true;
}

static const Dialect DIALECTS[] = {
    {"json", "/?id=%d", "{\"event\":\"%1$s\",\"payload\":%2$s}",
     "{\"event\":\"%1$s\",\"payload\":%2$s,\"callbackId\":\"%3$s\"}", id_in_json, NULL},
    {"socket.io", "/socket.io/?EIO=4&transport=websocket&id=%d", "42[\"%1$s\",%2$s]", "42%3$s[\"%1$s\",%2$s]",
     id_in_packet, take_engine_packet},
};
static const Dialect *dialect = &DIALECTS[0];

static void choose_dialect(const char *name) {
    for (size_t i = 0; i < sizeof DIALECTS / sizeof *DIALECTS; i++)
        if (strcmp(name, DIALECTS[i].name) == 0) {
            dialect = &DIALECTS[i];
            take_control = dialect->take_control;
            if (!*opt.path) opt.path = dialect->path;
            return;
        }
    fail("there is no dialect %s", name);
}

static Frame event_frame(const char *event, const char *payload) {
    char *text = formatted(dialect->event, event, payload);
    Frame frame = text_frame(text);
    free(text);
    return frame;
}

static Frame call_frame_of(const char *event, const char *payload, uint32_t id) {
    char digits[16];
    snprintf(digits, sizeof digits, "%u", id);
    char *text = formatted(dialect->call, event, payload, digits);
    Frame frame = text_frame(text);
    free(text);
    return frame;
}

/* Returns the id of the call that a message answers, 0 for none, after a look that it is no refusal. */
static uint32_t answered_id(Client *c, const char *text, size_t size) {
    uint32_t id = dialect->answered_id(text, size);
    if (id && memmem(text, size, "\"error\":", 8)) fail("client %d was refused: %.*s", number_of(c), (int)size, text);
    return id;
}
