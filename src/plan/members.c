#include "plan/members.h"

#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void weft_plan_title(const weft_document *document, const weft_node *name, size_t room, char *out)
{
    const char *slash = strrchr(document->name, '/'), *own = slash && slash[1] ? slash + 1 : document->name;
    bool given = name && name->kind == WEFT_NODE_TEXT && *name->text;
    snprintf(out, room, "%s", given ? name->text : own);
}

static weft_status set_number(const weft_document *document, const weft_node *node, const weft_plan_member *row,
                              void *target, weft_error *error)
{
    double value = 0;
    char *at = (char *)target + row->offset;
    TRY(weft_node_number(document, node, &value, error));
    if (!isfinite(value) || fabs(value) > 1e18)
        return weft_document_complain(document, node, error, "%s: %g is out of range", row->key, value);
    if (row->kind == WEFT_PLAN_REAL) {
        *(double *)(void *)at = value * row->scale;
        return WEFT_OK;
    }
    if (value != floor(value) || value < 0 || value > INT32_MAX)
        return weft_document_complain(document, node, error, "%s: a whole number from 0 up is expected here", row->key);
    if (row->kind == WEFT_PLAN_WHOLE32)
        *(int32_t *)(void *)at = (int32_t)value;
    else
        *(int64_t *)(void *)at = (int64_t)value;
    return WEFT_OK;
}

weft_status weft_plan_member_set(const weft_document *document, const weft_node *node, const weft_plan_member *row,
                                 void *target, weft_error *error)
{
    if (row->kind == WEFT_PLAN_TRUTH) return weft_node_truth(document, node, (bool *)target + row->offset, error);
    return set_number(document, node, row, target, error);
}

const weft_plan_member *weft_plan_member_find(const weft_plan_member *rows, const char *key)
{
    for (; rows->key; rows++)
        if (strcmp(rows->key, key) == 0) return rows;
    return NULL;
}

weft_status weft_plan_member_unknown(const weft_document *document, const weft_node *node, const weft_plan_member *rows,
                                     weft_error *error)
{
    const char *names[64];
    int count = 0;
    for (; rows->key && count < 64; rows++) names[count++] = rows->key;
    int near = weft_text_nearest(node->key, names, count);
    if (near < 0) return weft_document_complain(document, node, error, "unknown key '%s'", node->key);
    return weft_document_complain(document, node, error, "unknown key '%s' (nearest: '%s')", node->key, names[near]);
}
