#include "longgen/kv_cache/page_copies.h"

namespace longgen {

int64_t PageCopies::size() const { return static_cast<int64_t>(to_device.size() + to_host.size()); }

}  // namespace longgen
