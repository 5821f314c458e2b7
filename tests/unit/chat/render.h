// render.h: small templates for the tests of chat/.
#pragma once

#include <string>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"
#include "longgen/chat/jinja/template.h"
#include "longgen/chat/json_value.h"
#include "tests/unit/chat/test_time.h"

namespace longgen {

inline jinja::Text render_text(const std::string& text, const std::string& variables = "{}",
                               const jinja::Limits& limits = {}) {
  jinja::Variables values;
  const OrderedJson json = parse_ordered_json(variables, "variables");
  for (const auto& [name, value] : json.items()) values[name] = json_value(value, name);
  return jinja::Template(text, "t.jinja").render(values, test_time(), limits);
}

/// Returns what a template writes with variables given as JSON, or the error.
inline std::string render(const std::string& text, const std::string& variables = "{}",
                          const jinja::Limits& limits = {}) {
  try {
    return render_text(text, variables, limits).bytes();
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace longgen
