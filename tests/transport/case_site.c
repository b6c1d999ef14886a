/* What the cases run on, from a setting. */
#include "on_device.h"
#include "transport_cases.h"

#include "base/memory.h"

/* By rank; of each only its worker's thread knows. */
static transport_case_site *sites[TRANSPORT_CASE_MEMBERS];

static weft_status wrap_device(transport_case_site *site, const transport_case_setting *setting, weft_error *error)
{
    const weft_device_kind *kind = weft_device_kind_find("deferred");
    weft_device_options options = {.element = WEFT_BF16, .threads = 1, .index = site->transport->rank};
    weft_staged_options staged = {.groups = site->groups.groups,
                                  .group_count = TRANSPORT_CASE_GROUPS,
                                  .lanes = 10 * site->transport->size + 2 * TRANSPORT_CASE_GROUPS,
                                  .piece = setting->piece};
    staged.lanes += 2 * TRANSPORT_CASE_GROUPS * site->transport->size;
    TRY(kind->create(&options, &site->device, error));
    weft_transport *wrapped = NULL;
    TRY(weft_staged_transport_create(site->transport, &staged, &wrapped, error));
    site->transport = wrapped;
    site->inner = wrapped;
    TRY(on_device_create(wrapped, site->groups.groups, site->device, &site->transport, error));
    site->stream = on_device_stream(site->transport);
    return WEFT_OK;
}

weft_status transport_case_site_init(transport_case_site *site, weft_transport *endpoint,
                                     const transport_case_setting *setting, weft_error *error)
{
    *site = (transport_case_site){.transport = endpoint, .inner = endpoint};
    transport_case_groups_init(&site->groups, endpoint->size);
    sites[endpoint->rank] = site;
    if (setting->longest > 0) TRY(weft_delay_transport_create(endpoint, 1, setting->longest, &site->transport, error));
    site->inner = site->transport;
    return setting->piece > 0 ? wrap_device(site, setting, error) : WEFT_OK;
}

void transport_case_site_leave(transport_case_site *site)
{
    site->transport->operations->destroy(site->transport);
}

void transport_case_site_fini(transport_case_site *site)
{
    if (site->device) site->device->operations->destroy(site->device);
}

const transport_case_site *transport_case_site_of(const weft_transport *transport)
{
    return sites[transport->rank];
}
