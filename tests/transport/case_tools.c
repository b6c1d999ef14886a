#include "transport_cases.h"

#include "base/clock.h"
#include "base/random.h"

#include <string.h>

void transport_case_groups_init(transport_case_groups *groups, int32_t size)
{
    int32_t even = 0;
    for (int32_t i = 0; i < size; i++) {
        groups->everybody[i] = i;
        if (i % 2 == 0) groups->even[even++] = i;
    }
    groups->last[0] = size - 1;
    for (int32_t i = size / 2; i < size; i++) groups->upper[i - size / 2] = i;
    groups->groups[0] = (weft_group){groups->everybody, size};
    groups->groups[1] = (weft_group){groups->even, even};
    groups->groups[2] = (weft_group){groups->last, 1};
    memcpy(&groups->groups[3], &groups->groups[0], 3 * sizeof *groups->groups);
    groups->groups[6] = (weft_group){groups->everybody, size / 2 + 1};
    groups->groups[7] = (weft_group){groups->upper, size - size / 2};
}

weft_status post_send(weft_transport *t, int32_t peer, int32_t tag, const void *bytes, size_t count, weft_request *out,
                      weft_error *error)
{
    return t->operations->send(t, NULL, peer, tag, bytes, count, out, error);
}

weft_status post_receive(weft_transport *t, int32_t peer, int32_t tag, void *bytes, size_t count, weft_request *out,
                         weft_error *error)
{
    return t->operations->receive(t, NULL, peer, tag, bytes, count, out, error);
}

weft_status finish(weft_transport *t, weft_request *requests, int count, weft_error *error)
{
    double begin = weft_clock_seconds();
    for (;;) {
        int left = 0;
        for (int i = 0; i < count; i++) {
            bool done = false;
            if (requests[i] < 0) continue;
            TRY(t->operations->test(t, requests[i], &done, error));
            if (done)
                requests[i] = -1;
            else
                left++;
        }
        if (left == 0) return WEFT_OK;
        if (weft_clock_seconds() - begin > PATIENCE) FAIL(error, WEFT_TIMEOUT, "%d requests are never done", left);
        TRY(t->operations->wait(t, 1.0, error));
    }
}

weft_status finish_one(weft_transport *t, weft_request request, weft_error *error)
{
    return finish(t, &request, 1, error);
}

weft_status meet(weft_transport *t, weft_error *error)
{
    return t->operations->barrier(t, PATIENCE, error);
}

void fill(unsigned char *bytes, size_t count, uint64_t key)
{
    uint64_t x = key * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(x >> 56);
    }
}

bool is_filled(const unsigned char *bytes, size_t count, uint64_t key)
{
    uint64_t x = key * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        if (bytes[i] != (unsigned char)(x >> 56)) return false;
    }
    return true;
}

size_t message_size(uint64_t key)
{
    weft_random_key random = weft_random_key_make(key, "size");
    uint64_t bits = weft_random_bits(random, 0);
    if (bits % 8 == 0) return 0;
    return (size_t)(weft_random_bits(random, 1) % ((uint64_t)1 << (bits / 8 % 21))) + 1;
}

weft_status await_stop(weft_transport *t, weft_error *error)
{
    double begin = weft_clock_seconds();
    while (weft_clock_seconds() - begin < PATIENCE) TRY(t->operations->wait(t, 1.0, error));
    FAIL(error, WEFT_TIMEOUT, "no stop arrived");
}
