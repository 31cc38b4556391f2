/* What is said in messages. Included by loadgen.c alone.
 *
 * Without --size it is a line of chat: SAYING. With it the text is made of words, and the payload {"text":"..."} has
 * --size bytes. So that compressing it saves about as much as with what people write there are TEXTS of them, and said in
 * turn: each is new to whoever remembers the last 32 KiB.
 */
enum { TEXTS = 64 };
static const char SAYING[] = "Sixty characters are what a line of chat has on average, so.";
static const char *const WORDS[] = {
    "the",   "of",    "and",   "to",     "in",    "is",     "you",   "that",   "it",    "he",    "was",   "for",   "on",
    "are",   "as",    "with",  "his",    "they",  "at",     "be",    "this",   "have",  "from",  "or",    "one",   "had",
    "by",    "word",  "but",   "not",    "what",  "all",    "were",  "we",     "when",  "your",  "can",   "said",  "there",
    "use",   "an",    "each",  "which",  "she",   "do",     "how",   "their",  "if",    "will",  "up",    "other", "about",
    "out",   "many",  "then",  "them",   "these", "so",     "some",  "her",    "would", "make",  "like",  "him",   "into",
    "time",  "has",   "look",  "two",    "more",  "write",  "go",    "see",    "number", "no",   "way",   "could", "people",
    "my",    "than",  "first", "water",  "been",  "call",   "who",   "oil",    "its",   "now",   "find",  "long",  "down",
    "day",   "did",   "get",   "come",   "made",  "may",    "part",  "server", "room",  "client", "message",
};
static const char AROUND_TEXT[] = "{\"text\":\"\"}";

/* Fills the text with words, in no order that repeats itself. */
static void write_words(char *text, size_t size, uint32_t state) {
    for (size_t at = 0; at < size;) {
        state = state * 1103515245 + 12345; /* the example of the C standard */
        const char *word = WORDS[(state >> 16) % (sizeof WORDS / sizeof *WORDS)];
        for (; *word && at < size; word++) text[at++] = *word;
        if (at < size) text[at++] = ' ';
    }
}

/* Returns what is said in a message, by its number; each text is formatted once. */
static const char *text_of(uint64_t message) {
    static char *texts[TEXTS];
    char **text = &texts[message % TEXTS];
    size_t around = sizeof AROUND_TEXT - 1, wanted = (size_t)opt.size;
    if (!wanted) return SAYING;
    if (*text) return *text;
    if (wanted <= around || wanted > MAX_FRAME / 2) fail("--size wants %zu to %d", around + 1, MAX_FRAME / 2);
    if (!(*text = calloc(1, wanted - around + 1))) fail("out of memory");
    write_words(*text, wanted - around, (uint32_t)(message % TEXTS));
    return *text;
}
