// grammar/leaf_rules.h: rules for texts and numbers of a JSON Schema.
#pragma once

#include <string>

#include "longgen/base/json.h"
#include "longgen/grammar/ebnf_rules.h"

namespace longgen {

// EBNF of the JSON that the keywords of a type allow; they throw SchemaError as add_schema() does.

std::string string_ebnf(const OrderedJson& schema, const std::string& path, EbnfRules& rules);
std::string number_ebnf(const OrderedJson& schema, bool is_integer, const std::string& path);

}  // namespace longgen
