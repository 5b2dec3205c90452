#include "sio_pid.h"

#include "carillon/base/base64url.h"
#include "carillon/base/buf.h"
#include "carillon/base/crypto.h"

#define RANDOM    12
#define DIGEST    12
#define PID_BYTES (RANDOM + DIGEST)
#define SID_BYTES 15

/* The parts are told apart by their lengths, so that no two realms read alike. 0 where memory ran out. */
static bool digest(const uint8_t *random, const struct car_sio_realm *realm, uint8_t out[32]) {
    const struct car_span parts[] = {realm->tenant, realm->subject, realm->nsp, realm->epoch};
    struct car_buf text = CAR_BUF_INIT;
    car_buf_put(&text, random, RANDOM);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        car_buf_u64(&text, parts[i].len);
        car_buf_char(&text, ':');
        car_buf_span(&text, parts[i]);
    }
    bool good = !text.failed;
    if (good) {
        car_sha256(text.data, text.len, out);
    }
    car_buf_free(&text);
    return good;
}

static bool fill(const uint8_t *random, const struct car_sio_realm *realm, struct car_sio_pid *pid) {
    uint8_t hash[32];
    uint8_t bytes[PID_BYTES];
    if (!digest(random, realm, hash)) {
        return false;
    }
    memcpy(bytes, random, RANDOM);
    memcpy(bytes + RANDOM, hash, DIGEST);
    car_base64url_write(bytes, sizeof bytes, pid->text);
    return true;
}

void car_sio_pid_make(const struct car_sio_realm *realm, struct car_sio_pid *pid) {
    uint8_t random[RANDOM];
    car_random(random, sizeof random);
    if (!fill(random, realm, pid)) {
        /* No pid of this realm: it recovers nothing. */
        uint8_t bytes[PID_BYTES];
        car_random(bytes, sizeof bytes);
        car_base64url_write(bytes, sizeof bytes, pid->text);
    }
}

bool car_sio_pid_read(struct car_span text, const struct car_sio_realm *realm, struct car_sio_pid *pid) {
    uint8_t bytes[PID_BYTES];
    return car_base64url_read(text, bytes, sizeof bytes) == 0 && fill(bytes, realm, pid) &&
           memcmp(text.ptr, pid->text, sizeof pid->text) == 0;
}

void car_sio_pid_sid(const struct car_sio_pid *pid, char out[CAR_SIO_SID_LEN]) {
    uint8_t hash[32];
    car_sha256(pid->text, sizeof pid->text, hash);
    car_base64url_write(hash, SID_BYTES, out);
}
