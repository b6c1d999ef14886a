/* What schedules are called elsewhere. */
#include "schedule/kinds.h"

#include <string.h>

enum { LONGEST = 63 };

/* Names without case, dashes and "schedule". Sources: torch.distributed.pipelining, Megatron-LM, DeepSpeed, and the
 * papers and repositories of the schedules. */
static const struct {
    const char *name, *kind;
} hints[] = {
    /* torch.distributed.pipelining: Schedule... */
    {"interleaved1f1b", "depth-first"},
    {"loopedbfs", "breadth-first-descending"},
    {"zbvzerobubble", "zb-v"},
    /* Megatron-LM, and what its flags say */
    {"forwardbackwardnopipelining", "sequential"},
    {"forwardbackwardpipeliningwithoutinterleaving", "1f1b"},
    {"forwardbackwardpipeliningwithinterleaving", "depth-first"},
    {"noninterleaved", "1f1b"},
    {"noninterleaved1f1b", "1f1b"},
    {"interleaved", "depth-first"},
    {"interleaving", "depth-first"},
    {"interleavedpipeline", "depth-first"},
    {"1f1binterleaved", "depth-first"},
    {"1f1binterleaving", "depth-first"},
    {"virtualpipeline", "depth-first"},
    {"virtualpp", "depth-first"},
    {"vpp", "depth-first"},
    {"looped1f1b", "depth-first"},
    {"looped", "breadth-first"},
    /* DeepSpeed, and 1F1B by other names */
    {"train", "1f1b"},
    {"inference", "gpipe"},
    {"onefoneb", "1f1b"},
    {"oneforwardonebackward", "1f1b"},
    {"pipedream", "1f1b"},
    {"pipedreamflush", "1f1b"},
    {"dapple", "1f1b"},
    /* all forward, all backward */
    {"afab", "gpipe"},
    {"allforwardallbackward", "gpipe"},
    {"allfallb", "gpipe"},
    {"filldrain", "gpipe"},
    {"torchgpipe", "gpipe"},
    /* breadth and depth */
    {"bfs", "breadth-first"},
    {"bfpp", "breadth-first"},
    {"loopedbreadthfirst", "breadth-first"},
    {"dfs", "depth-first"},
    {"dfpp", "depth-first"},
    {"loopeddfs", "depth-first"},
    {"loopeddepthfirst", "depth-first"},
    {"flexpp", "hybrid"},
    /* zero bubble and its relatives */
    {"zb", "zb-h1"},
    {"zerobubble", "zb-h1"},
    {"zerobubble1p", "zb-h1"},
    {"zerobubbleh1", "zb-h1"},
    {"zb1p", "zb-h1"},
    {"zb1", "zb-h1"},
    {"zerobubble2p", "zb-h2"},
    {"zerobubbleh2", "zb-h2"},
    {"zb2p", "zb-h2"},
    {"zb2", "zb-h2"},
    {"interleavedzb", "interleaved-zero-bubble"},
    {"interleavedzb1p", "interleaved-zero-bubble"},
    {"interleavedzbh1", "interleaved-zero-bubble"},
    {"zerobubbleinterleaved", "interleaved-zero-bubble"},
    {"zerobubblev", "zb-v"},
    {"vzerobubble", "zb-v"},
    {"vzb", "zb-v"},
    {"halfmemory", "v-half"},
    {"zbvhalf", "v-half"},
    {"minmemory", "v-min"},
    {"zbvmin", "v-min"},
    {"dualpipe", "dualpipe-v"},
    /* one micro-batch at a time */
    {"naive", "sequential"},
    {"naivepipeline", "sequential"},
    {"nopipelining", "sequential"},
};

/* Letters in lower case and digits, without the word "schedule" at either end; false where they are too many. */
static bool reduce(const char *name, char out[LONGEST + 1])
{
    static const char word[] = "schedule";
    size_t length = 0, size = sizeof word - 1;
    for (const char *c = name; *c; c++) {
        char letter = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        if (letter == '-' || letter == '_' || letter == ' ' || letter == '.') continue;
        if (length == LONGEST) return false;
        out[length++] = letter;
    }
    out[length] = 0;
    if (length > size && strncmp(out, word, size) == 0) memmove(out, out + size, (length -= size) + 1);
    if (length > size && strcmp(out + length - size, word) == 0) out[length - size] = 0;
    return true;
}

const char *weft_schedule_kind_hint(const char *name)
{
    char wanted[LONGEST + 1], own[LONGEST + 1];
    const char *const *names = weft_schedule_kind_names();
    if (!reduce(name, wanted)) return NULL;
    for (int i = 0; names[i]; i++)
        if (reduce(names[i], own) && strcmp(own, wanted) == 0) return names[i];
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strcmp(hints[i].name, wanted) == 0) return hints[i].kind;
    return NULL;
}
