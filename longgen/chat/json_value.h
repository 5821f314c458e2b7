// chat/json_value.h: JSON as values of a template.
#pragma once

#include "longgen/base/json.h"
#include "longgen/chat/jinja/value.h"

namespace longgen {

/// Every string, keys too, counts as data. `where` names the JSON in errors. Throws Error on
/// nesting deeper than 64 and on integers over 64 bits.
jinja::Value json_value(const OrderedJson& json, const std::string& where);

}  // namespace longgen
