#include "longgen/tokenizer/chat_template.h"

#include <algorithm>
#include <cctype>

#include "longgen/base/check.h"

namespace longgen {
namespace {

using Kind = TemplatePart::Kind;

constexpr std::string_view kBlank = " \t\r\n";

std::string_view strip(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

void add_part(std::vector<TemplatePart>& parts, TemplatePart part) {
  const bool joins = part.kind == Kind::text && !parts.empty() && parts.back().kind == Kind::text;
  if (joins) {
    parts.back().text += part.text;
  } else if (part.kind != Kind::text || !part.text.empty()) {
    parts.push_back(std::move(part));
  }
}

/// A variable of the template, spaces and quotes taken out: message["content"] and message.content
/// are one.
Kind kind_of(const std::string& name) {
  if (name == "message[role]" || name == "message.role") return Kind::role;
  if (name == "message[content]" || name == "message.content" || name == "content")
    return Kind::content;
  if (name == "system_message" || name == "messages[0][content]" || name == "messages[0].content") {
    return Kind::system;
  }
  if (name == "bos_token") return Kind::bos;
  if (name == "eos_token") return Kind::eos;
  return name == "date_string" ? Kind::date : Kind::unknown;
}

/// Reads a concatenation: 'text' + message['role'] ~ content | trim. Anything else becomes one
/// unknown part.
class ExpressionReader {
 public:
  explicit ExpressionReader(std::string_view text) : text_(text) {}

  std::vector<TemplatePart> read() {
    std::vector<TemplatePart> parts;
    do {
      TemplatePart part;
      if (!read_term(part)) return {{Kind::unknown, "", false}};
      add_part(parts, std::move(part));
    } while (skip('+') || skip('~'));
    skip_blank();
    if (at_ != text_.size()) return {{Kind::unknown, "", false}};
    return parts;
  }

 private:
  void skip_blank() { at_ = std::min(text_.find_first_not_of(kBlank, at_), text_.size()); }

  bool skip(char c) {
    skip_blank();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool skip_word(std::string_view word) {
    skip_blank();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool read_term(TemplatePart& part) {
    skip_blank();
    if (at_ >= text_.size()) return false;
    const char c = text_[at_];
    if (c == '\'' || c == '"') return read_literal(part.text);
    if (!read_name(part)) return false;
    while (true) {
      const size_t before = at_;
      if (skip('|') && skip_word("trim")) {
        part.trimmed = true;
      } else {
        at_ = before;
        return true;
      }
    }
  }

  bool read_literal(std::string& out) {
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      out.push_back(c);
    }
    return at_++ < text_.size();
  }

  bool read_name(TemplatePart& part) {
    std::string name;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (!std::isalnum(static_cast<unsigned char>(c)) &&
          std::string_view("_.[]'\"").find(c) == std::string_view::npos) {
        break;
      }
      if (c != '\'' && c != '"') name.push_back(c);
      ++at_;
    }
    const std::string_view call = ".strip";
    if (name.ends_with(call) && text_.substr(at_).starts_with("()")) {
      name.resize(name.size() - call.size());
      at_ += 2;
      part.trimmed = true;
    }
    part.kind = kind_of(name);
    return !name.empty();
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct Tag {
  char kind;  // '{' writes, '%' controls, '#' comments, '\0' at the end of the template
  size_t begin, end;
  bool trims_before, trims_after;
  std::string_view body;
};

/// Where the tag that starts at `begin` is closed; a quoted string inside may hold the closing
/// characters.
size_t find_close(std::string_view text, size_t begin, std::string_view close, bool quotes) {
  char quote = '\0';
  for (size_t i = begin + 2; i + 1 < text.size(); ++i) {
    if (quote != '\0') {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == quote)
        quote = '\0';
    } else if (quotes && (text[i] == '\'' || text[i] == '"')) {
      quote = text[i];
    } else if (text.substr(i, 2) == close) {
      return i;
    }
  }
  return std::string_view::npos;
}

Tag next_tag(std::string_view text, size_t from, const std::string& source) {
  size_t at = from;
  while (true) {
    at = text.find('{', at);
    if (at == std::string_view::npos || at + 1 >= text.size())
      return {'\0', text.size(), text.size(), false, false, {}};
    if (std::string_view("{%#").find(text[at + 1]) != std::string_view::npos) break;
    ++at;
  }
  const char kind = text[at + 1];
  const std::string close = kind == '{' ? "}}" : std::string(1, kind) + "}";
  const size_t end = find_close(text, at, close, kind != '#');
  LG_CHECK(end != std::string_view::npos, source, ": the chat template has a {", kind, " without ",
           close, ".");
  std::string_view body = text.substr(at + 2, end - at - 2);
  const bool before = body.starts_with('-'), after = body.ends_with('-');
  if (before) body.remove_prefix(1);
  if (after && !body.empty()) body.remove_suffix(1);
  return {kind, at, end + 2, before, after, strip(body)};
}

/// Text between two tags as transformers has Jinja write it (trim_blocks and lstrip_blocks).
std::string_view written(std::string_view text, const Tag& before, const Tag& after) {
  if (before.trims_after) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  } else if ((before.kind == '%' || before.kind == '#') && text.starts_with('\n')) {
    text.remove_prefix(1);
  }
  if (after.trims_before) {
    const size_t last = text.find_last_not_of(kBlank);
    return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
  }
  if (after.kind == '%' || after.kind == '#') {
    const size_t last = text.find_last_not_of(" \t");
    if (last == std::string_view::npos) return before.kind == '{' ? text : std::string_view();
    if (text[last] == '\n') text = text.substr(0, last + 1);
  }
  return text;
}

}  // namespace

std::string TemplateRun::shape() const {
  static constexpr const char* kNames[] = {"",    "role", "content", "system",
                                           "bos", "eos",  "date",    "?"};
  std::string shape;
  for (const TemplatePart& part : parts) {
    if (part.kind == Kind::text) {
      shape += part.text;
    } else {
      shape += std::string("{") + kNames[static_cast<size_t>(part.kind)] +
               (part.trimmed ? "|trim}" : "}");
    }
  }
  return shape;
}

ChatTemplate::ChatTemplate(std::string_view text, const std::string& source) : text_(text) {
  Tag before{'\0', 0, 0, false, false, {}};
  TemplateRun run;
  const auto close_run = [&] {
    if (!run.parts.empty()) runs_.push_back(std::move(run));
    run = {};
  };
  while (before.end < text.size() || before.kind != '\0') {
    const Tag tag = next_tag(text, before.end, source);
    const std::string_view raw = text.substr(before.end, tag.begin - before.end);
    add_part(run.parts, {Kind::text, std::string(written(raw, before, tag)), false});
    if (tag.kind == '{') {
      for (TemplatePart& part : ExpressionReader(tag.body).read())
        add_part(run.parts, std::move(part));
    } else if (tag.kind == '%') {
      close_run();
      const size_t equals = tag.body.find('=');
      if (tag.body.starts_with("set ") && equals != std::string_view::npos) {
        runs_.push_back({std::string(strip(tag.body.substr(4, equals - 4))),
                         ExpressionReader(tag.body.substr(equals + 1)).read()});
      }
    }
    before = tag;
    if (tag.kind == '\0') break;
  }
  close_run();
}

const TemplateRun* ChatTemplate::find(std::string_view shape) const {
  const auto it = std::find_if(runs_.begin(), runs_.end(),
                               [&](const TemplateRun& run) { return run.shape() == shape; });
  return it == runs_.end() ? nullptr : &*it;
}

}  // namespace longgen
