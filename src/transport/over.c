#include "transport/over.h"

static weft_transport *inner_of(const weft_transport *transport)
{
    return ((const weft_transport_over *)transport)->inner;
}

static weft_status barrier(weft_transport *transport, double timeout, weft_error *error)
{
    weft_transport *inner = inner_of(transport);
    return inner->operations->barrier(inner, timeout, error);
}

static void publish(weft_transport *transport, const char *text)
{
    weft_transport *inner = inner_of(transport);
    inner->operations->publish(inner, text);
}

static void interrogate(weft_transport *transport, double seconds, weft_transport_report *out)
{
    weft_transport *inner = inner_of(transport);
    inner->operations->interrogate(inner, seconds, out);
}

static void stop(weft_transport *transport)
{
    weft_transport *inner = inner_of(transport);
    inner->operations->stop(inner);
}

void weft_transport_over_init(weft_transport_over *over, weft_transport *inner, weft_transport_operations *operations)
{
    *over = (weft_transport_over){.base = *inner, .inner = inner};
    over->base.operations = operations;
    operations->barrier = barrier;
    operations->publish = publish;
    operations->interrogate = interrogate;
    operations->stop = stop;
}
