// chat/jinja/template.h: a template, ready to be rendered.
#pragma once

#include <ctime>
#include <map>
#include <string>
#include <string_view>

#include "longgen/chat/jinja/ast.h"
#include "longgen/chat/jinja/budget.h"

namespace longgen::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

/// The Jinja that chat templates are written in, as transformers sets it up: sandboxed,
/// trim_blocks, lstrip_blocks, break and continue, {% generation %}. It has no access to the
/// machine but its clock. Immutable; render() may be called from several threads at once.
class Template {
 public:
  /// `source` names the template in errors: "chat_template.jinja". Throws Error on what is no
  /// template and on statements that are not supported.
  Template(std::string_view text, std::string source);

  /// Throws Error "source:line: ..." on everything that goes wrong: what the template raises, what
  /// Python would raise, what is not supported, and each limit that is reached. `now` is the local
  /// time that the template may ask for.
  Text render(const Variables& variables, const std::tm& now, const Limits& limits = {}) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  Block body_;
};

}  // namespace longgen::jinja
