// base/ordered_json.h: JSON from outside whose objects keep the order of their keys.
#pragma once

#include <string>
#include <string_view>

#include "longgen/base/json.h"

namespace longgen {

/// Does what parse_json() does, and keeps the order of keys: chat templates print objects.
OrderedJson parse_ordered_json(std::string_view text, const std::string& source);

}  // namespace longgen
