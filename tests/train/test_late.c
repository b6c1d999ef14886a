/* Two MPI processes of which one has started MPI and then does not connect: the other is told, and ends them with
 * status
 * 3. Usage: test_late FOLDER, which exists. */
#include "layouts.h"

#include "transport/transport.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void leave(void *context)
{
    (void)context;
    _exit(3);
}

static int fail(const weft_error *error)
{
    fprintf(stderr, "%s\n", error->text);
    return 1;
}

int main(int count, char **words)
{
    char corpus[512], yaml[1024];
    int32_t rank = 0, size = 0;
    weft_config config;
    weft_error error;
    weft_job *job = NULL;
    if (count != 2) return 2;
    if (weft_mpi_start(&rank, &size, &error) != WEFT_OK) return fail(&error);
    if (rank == 1) {
        sleep(60);
        return 1;
    }
    snprintf(corpus, sizeof corpus, "%s/corpus.txt", words[1]);
    test_write_corpus(corpus);
    snprintf(yaml, sizeof yaml,
             "run: {folder: %s/run, steps: 1}\nmodel: {layers: 2, width: 16, heads: 2, context: 16}\n"
             "data: {path: %s}\nparallel: {pipeline: 2}\ndevice: reference\ntransport: mpi\ntimeout: 1\n",
             words[1], corpus);
    if (weft_config_load_text(&config, yaml, strlen(yaml), "test", NULL, 0, &error) != WEFT_OK) return fail(&error);
    if (weft_job_create(&config, &job, &error) != WEFT_OK) return fail(&error);
    weft_train_options options = {.late = leave};
    if (weft_train(job, &options, &error) != WEFT_OK) return fail(&error);
    return 0;
}
