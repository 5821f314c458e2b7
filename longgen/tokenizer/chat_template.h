// tokenizer/chat_template.h: what a Jinja chat template writes, without running it.
// There is no Jinja engine here. A template is cut into the runs of text that it writes between two
// control statements; chat_format.cpp recognises the known formats by them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// One piece of a run: fixed text, or something of the conversation.
struct TemplatePart {
  enum class Kind { text, role, content, system, bos, eos, date, unknown };
  Kind kind = Kind::text;
  std::string text;      ///< of kind text
  bool trimmed = false;  ///< "| trim" or ".strip()"
};

struct TemplateRun {
  std::string variable;  ///< of {% set variable = ... %}; empty for what is written
  std::vector<TemplatePart> parts;

  /// The run in one line, to compare: text as it is, the rest as {role} {content} {content|trim}
  /// {system} {bos} {eos} {date} {?}.
  std::string shape() const;
  bool empty() const { return parts.empty(); }
};

class ChatTemplate {
 public:
  /// `source` names the template in errors. Throws Error when a tag is not closed.
  ChatTemplate(std::string_view text, const std::string& source);

  const std::vector<TemplateRun>& runs() const { return runs_; }
  /// The first run of one of these shapes, nullptr when there is none.
  const TemplateRun* find(std::string_view shape) const;
  bool mentions(std::string_view what) const { return text_.find(what) != std::string::npos; }

 private:
  std::string text_;
  std::vector<TemplateRun> runs_;
};

}  // namespace longgen
