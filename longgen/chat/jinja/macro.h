// chat/jinja/macro.h: a macro or the body of a call block, with the scope that it was defined in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "longgen/chat/jinja/ast.h"
#include "longgen/chat/jinja/value.h"

namespace longgen::jinja {

/// The names of one scope; what is not here is looked for in the one around it.
struct Scope {
  std::unordered_map<std::string_view, Value> names;
  std::shared_ptr<Scope> outer;
};

struct Macro {
  const Statement* definition;
  std::shared_ptr<Scope> scope;

  /// Empty for the body of a call block.
  const std::string& name() const { return definition->name; }
};

}  // namespace longgen::jinja
