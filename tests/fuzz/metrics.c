/* metrics.jsonl of a run that is resumed, at the step that the first bytes say: only whole lines that were there stay.
 */
#include "fuzz.h"

#include "base/file.h"
#include "cli/observer.h"

#include <string.h>

static void check_kept(const uint8_t *bytes, size_t size, const weft_text *kept)
{
    const char *old = (const char *)bytes;
    for (size_t at = 0, i = 0; i < kept->length; i += at) {
        const char *end = memchr(kept->bytes + i, '\n', kept->length - i);
        fuzz_check(end != NULL, "a part of a line is kept");
        at = (size_t)(end + 1 - (kept->bytes + i));
        bool found = false;
        for (size_t k = 0; k + at <= size && !found; k++) found = memcmp(old + k, kept->bytes + i, at) == 0;
        fuzz_check(found, "a line that was not there");
    }
}

static void resume(const weft_job *job, int64_t step, const uint8_t *bytes, size_t size)
{
    weft_run_observer observer;
    weft_run_start start = {.resumed_step = step};
    weft_text kept;
    weft_error error;
    weft_error_clear(&error);
    FILE *progress = fopen("/dev/null", "w");
    const char *path = fuzz_file("metrics.jsonl", bytes, size);
    fuzz_check(weft_run_observer_init(&observer, job, progress, &error) == WEFT_OK, error.text);
    weft_observer table = weft_run_observer_table(&observer);
    fuzz_check_refusal(table.started(table.context, &start, &error), &error);
    fuzz_check(weft_run_observer_fini(&observer, &error) == WEFT_OK, error.text);
    fclose(progress);
    weft_text_init(&kept);
    fuzz_check(weft_file_read(path, &kept, &error) == WEFT_OK, error.text);
    check_kept(bytes, size, &kept);
    weft_text_fini(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char text[] =
        "{data: {path: none}, model: {layers: 1, width: 2, heads: 1, feed_forward: 2, vocabulary: 4, "
        "context: 2}, device: reference, threads: 1}";
    fuzz_source from = {bytes, size};
    char folder[128];
    const char *overrides[] = {folder};
    snprintf(folder, sizeof folder, "run.folder=%s", fuzz_folder());
    int64_t step = fuzz_below(&from, 1000);
    weft_config config;
    weft_job *job = NULL;
    weft_error error;
    weft_error_clear(&error);
    fuzz_check(weft_config_load_text(&config, text, strlen(text), "fuzz", overrides, 1, &error) == WEFT_OK, error.text);
    fuzz_check(weft_job_create(&config, &job, &error) == WEFT_OK, error.text);
    resume(job, step, from.at, from.left);
    weft_job_destroy(job);
    weft_config_fini(&config);
    return 0;
}
