/*
 * Data files: how fast all tokens are checked beside a plain read of the file, and blocks are read in shuffled order
 * beside plain reads of as many bytes at the same places. The file lies in the system's cache.
 *
 * Usage: bench_data FOLDER [MEBIBYTES]: a file of so many (1024) is made there and removed.
 */
#include "data/data.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 5, CHUNK = 256 << 10, TOKENS = 1024, BLOCKS = 20000 };

/* What the bytes of the file, all below 100, are as tokens. */
static const struct {
    const char *name;
    weft_config_format format;
    int64_t vocabulary;
    size_t width;
} kinds[] = {
    {"bytes", WEFT_CONFIG_TEXT, 128, 1},
    {"uint16", WEFT_CONFIG_NANOGPT, 50257, 2},
    {"uint32", WEFT_CONFIG_UINT32, INT32_MAX, 4},
};

static char path[4096];
static size_t file_bytes;
static unsigned char buffer[CHUNK];

static void check(weft_status status, const weft_error *error)
{
    if (status == WEFT_OK) return;
    fprintf(stderr, "bench_data: %s\n", error->text);
    unlink(path);
    exit(1);
}

static void make_file(void)
{
    weft_error error;
    weft_random_key key = weft_random_key_make(1, "bench");
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (size_t i = 0; i < CHUNK; i++) buffer[i] = (unsigned char)(weft_random_bits(key, i) % 100);
    for (size_t done = 0; done < file_bytes; done += CHUNK)
        check(weft_file_write_all(descriptor, buffer, CHUNK, path, &error), &error);
    close(descriptor);
}

static double time_read(int descriptor)
{
    double begin = weft_clock_seconds();
    for (size_t done = 0; done < file_bytes; done += CHUNK)
        if (pread(descriptor, buffer, CHUNK, (off_t)done) != CHUNK) exit(1);
    return weft_clock_seconds() - begin;
}

static weft_data *open_data(size_t kind)
{
    weft_error error;
    weft_data *data = NULL;
    weft_data_options options = {
        .path = path, .format = kinds[kind].format, .tokens = TOKENS, .vocabulary = kinds[kind].vocabulary, .seed = 1};
    check(weft_data_open(&options, &data, &error), &error);
    return data;
}

static double time_check(size_t kind)
{
    weft_error error;
    weft_data *data = open_data(kind);
    double begin = weft_clock_seconds();
    weft_data_watch(data);
    while (weft_data_unchecked(data) > 0) {
        check(weft_data_poll(data, &error), &error);
        weft_clock_sleep(1e-4);
    }
    double seconds = weft_clock_seconds() - begin;
    weft_data_close(data);
    return seconds;
}

static double time_blocks(size_t kind)
{
    static int32_t tokens[TOKENS], targets[TOKENS];
    weft_error error;
    weft_data *data = open_data(kind);
    double begin = weft_clock_seconds();
    for (int64_t i = 0; i < BLOCKS; i++)
        check(
            weft_data_read(data, WEFT_DATA_TRAIN, i, 1, (weft_data_rows){.tokens = tokens, .targets = targets}, &error),
            &error);
    double seconds = weft_clock_seconds() - begin;
    weft_data_close(data);
    return seconds;
}

static double time_places(size_t kind, int descriptor)
{
    weft_random_key key = weft_random_key_make(1, "shuffle epoch 0");
    uint64_t bytes = TOKENS * kinds[kind].width, blocks = (file_bytes - kinds[kind].width) / bytes;
    double begin = weft_clock_seconds();
    for (uint64_t i = 0; i < BLOCKS; i++) {
        uint64_t at = weft_random_permute(key, i % blocks, blocks) * bytes;
        if (pread(descriptor, buffer, bytes + kinds[kind].width, (off_t)at) < 0) exit(1);
    }
    return weft_clock_seconds() - begin;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void report(size_t kind, int descriptor)
{
    double read = 1e9, checked = 1e9, places = 1e9, blocks = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        read = least(read, time_read(descriptor));
        checked = least(checked, time_check(kind));
        places = least(places, time_places(kind, descriptor));
        blocks = least(blocks, time_blocks(kind));
    }
    printf("%-6s  %9.2f  %10.2f  %5.2f  %9.2f  %10.2f  %5.2f\n", kinds[kind].name, (double)file_bytes / read * 1e-9,
           (double)file_bytes / checked * 1e-9, read / checked, places / BLOCKS * 1e6, blocks / BLOCKS * 1e6,
           places / blocks);
}

int main(int argc, char **argv)
{
    int64_t mebibytes = 1024;
    if (argc < 2 || (argc > 2 && !weft_parse_int(argv[2], &mebibytes)) || mebibytes <= 64) {
        fprintf(stderr, "usage: bench_data FOLDER [MEBIBYTES, above 64]\n");
        return 2;
    }
    file_bytes = (size_t)mebibytes << 20;
    snprintf(path, sizeof path, "%s/weft-bench-data-%ld", argv[1], (long)getpid());
    make_file();
    int descriptor = open(path, O_RDONLY);
    printf("%" PRId64 " MiB of tokens, blocks of %d\n", mebibytes, TOKENS);
    printf("tokens  read GB/s  check GB/s  ratio  us a read  us a block  ratio\n");
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) report(kind, descriptor);
    close(descriptor);
    unlink(path);
    return 0;
}
