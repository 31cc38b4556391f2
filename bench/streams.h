/* The bytes of a connection, over TLS with --tls 1. Included by clients.h alone.
 *
 * All servers are measured with the same version and cipher. Their certificate is not checked: this measures servers.
 */
#if __has_include(<openssl/ssl.h>)
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *new_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"))
        fail("cannot use TLS: %s", ERR_error_string(ERR_get_error(), NULL));
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

static void *new_tls(int fd) {
    static SSL_CTX *context;
    if (!context) context = new_context();
    SSL *tls = SSL_new(context);
    if (!tls || !SSL_set_fd(tls, fd)) fail("cannot use TLS: %s", ERR_error_string(ERR_get_error(), NULL));
    SSL_set_connect_state(tls);
    return tls;
}

/* Takes the handshake as far as it goes now. Returns whether it is done. */
static bool shake_hands(void *tls) {
    ERR_clear_error();
    int result = SSL_do_handshake(tls), error = SSL_get_error(tls, result);
    if (result == 1) return true;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        fail("the TLS handshake failed: %s", ERR_error_string(ERR_get_error(), NULL));
    return false;
}

/* Reads until the buffer is full or nothing more is there, as recv() does in one call: TLS gives a record at a time. */
static ssize_t tls_receive(void *tls, uint8_t *bytes, size_t size) {
    size_t used = 0;
    int n = 0;
    while (used < size && (n = SSL_read(tls, bytes + used, (int)(size - used))) > 0) used += (size_t)n;
    if (used) return (ssize_t)used;
    if (SSL_get_error(tls, n) == SSL_ERROR_WANT_READ) return errno = EAGAIN, -1;
    return 0;
}

static ssize_t tls_transmit(void *tls, const uint8_t *bytes, size_t size) { return SSL_write(tls, bytes, (int)size); }

#else
static void *new_tls(int fd) {
    (void)fd;
    fail("it was built without OpenSSL, whose headers were missing (Debian: libssl-dev)");
}

static bool shake_hands(void *tls) { return (void)tls, false; }
static ssize_t tls_receive(void *tls, uint8_t *bytes, size_t size) { return (void)tls, (void)bytes, (void)size, 0; }
static ssize_t tls_transmit(void *tls, const uint8_t *bytes, size_t size) { return (void)tls, (void)bytes, (void)size, 0; }
#endif

static ssize_t receive(Client *c, uint8_t *bytes, size_t size) {
    return c->tls ? tls_receive(c->tls, bytes, size) : recv(c->fd, bytes, size, 0);
}

static ssize_t transmit(Client *c, const uint8_t *bytes, size_t size) {
    return c->tls ? tls_transmit(c->tls, bytes, size) : send(c->fd, bytes, size, MSG_NOSIGNAL);
}
