/*
 * A YAML or JSON file as a tree, each node with its place: for files that are no training configuration.
 *
 * YAML without anchors, aliases and tags; JSON is read as JSON. Numbers and words are texts until somebody asks for
 * them as something.
 *
 * Owns: its nodes and texts.  Lifetime: parse to fini.  Threads: any may read.
 */
#ifndef WEFT_CONFIG_DOCUMENT_H
#define WEFT_CONFIG_DOCUMENT_H

#include "base/memory.h"

typedef enum weft_node_kind { WEFT_NODE_TEXT, WEFT_NODE_LIST, WEFT_NODE_MAP } weft_node_kind;

typedef struct weft_node weft_node;
struct weft_node {
    weft_node_kind kind;
    const char *key;  /* of a member of a map; else NULL */
    const char *text; /* of WEFT_NODE_TEXT; null, true and false by these words */
    bool quoted;      /* a text that is no number or truth value even if it looks like one */
    size_t line, column;
    const weft_node *first, *next; /* children of a list or a map, in their order */
};

typedef struct weft_document {
    weft_arena arena;
    const char *name;
    const weft_node *root;
} weft_document;

/* name is kept for messages and need not outlive the call. A text that begins with [ or {" is JSON. WEFT_INVALID
 * with name, line and column. On error nothing is left to free. */
weft_status weft_document_parse(weft_document *document, const char *text, size_t length, const char *name,
                                weft_error *error) WEFT_CHECKED;
weft_status weft_document_read(weft_document *document, const char *path, weft_error *error) WEFT_CHECKED;
void weft_document_fini(weft_document *document);

/* The member of a map, or NULL. */
const weft_node *weft_node_get(const weft_node *map, const char *key);

/* An error at a node: "NAME:LINE:COLUMN: message". */
weft_status weft_document_complain(const weft_document *document, const weft_node *node, weft_error *error,
                                   const char *format, ...) WEFT_PRINTF(4, 5);

/* WEFT_INVALID, at the node, when it is no such thing. */
weft_status weft_node_number(const weft_document *document, const weft_node *node, double *out,
                             weft_error *error) WEFT_CHECKED;
weft_status weft_node_truth(const weft_document *document, const weft_node *node, bool *out,
                            weft_error *error) WEFT_CHECKED;
weft_status weft_node_text(const weft_document *document, const weft_node *node, const char **out,
                           weft_error *error) WEFT_CHECKED;

#endif
