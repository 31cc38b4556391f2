/* Inflating what servers send compressed, by permessage-deflate (RFC 7692). Included by clients.h alone. */
#if __has_include(<zlib.h>)
#include <zlib.h>

typedef struct Inflater {
    z_stream stream;
    bool keeps_context; /* whether a message may refer to those before it */
} Inflater;

static Inflater *new_inflater(bool keeps_context) {
    Inflater *inflater = calloc(1, sizeof *inflater);
    if (!inflater || inflateInit2(&inflater->stream, -MAX_WBITS) != Z_OK) fail("out of memory");
    inflater->keeps_context = keeps_context;
    return inflater;
}

/* Inflates some bytes behind what is there. Returns whether they were deflated. */
static bool inflate_part(Inflater *inflater, const uint8_t *bytes, size_t size) {
    inflater->stream.next_in = (Bytef *)bytes;
    inflater->stream.avail_in = (uInt)size;
    int result = inflate(&inflater->stream, Z_SYNC_FLUSH);
    return (result == Z_OK || result == Z_BUF_ERROR) && !inflater->stream.avail_in;
}

/* Returns the size of the message, -1 if it is malformed or larger than the room for it. */
static ssize_t inflate_message(Inflater *inflater, const uint8_t *bytes, size_t size, uint8_t *text, size_t room) {
    static const uint8_t TAIL[] = {0, 0, 0xFF, 0xFF}; /* which the sender took away */
    if (!inflater->keeps_context) inflateReset(&inflater->stream);
    inflater->stream.next_out = text;
    inflater->stream.avail_out = (uInt)room;
    if (!inflate_part(inflater, bytes, size) || !inflate_part(inflater, TAIL, sizeof TAIL)) return -1;
    return (ssize_t)(room - inflater->stream.avail_out);
}

#else
typedef struct Inflater {
    bool keeps_context;
} Inflater;

static Inflater *new_inflater(bool keeps_context) {
    (void)keeps_context;
    fail("it was built without zlib, whose headers were missing (Debian: zlib1g-dev)");
}

static ssize_t inflate_message(Inflater *inflater, const uint8_t *bytes, size_t size, uint8_t *text, size_t room) {
    (void)inflater, (void)bytes, (void)size, (void)text, (void)room;
    return -1;
}
#endif
