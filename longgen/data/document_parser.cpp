#include "longgen/data/document_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "longgen/data/answer_ranges.h"
#include "longgen/data/json_line.h"

namespace longgen {
namespace {

static_assert(RecordBatch::kPaddingBytes >= simdjson::SIMDJSON_PADDING);

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string reason(simdjson::error_code error, std::string_view line) {
  if (error == simdjson::UTF8_ERROR) return "not valid JSON: not valid UTF-8";
  if (error == simdjson::DEPTH_ERROR) {
    return "JSON nested deeper than " + std::to_string(simdjson::DEFAULT_MAX_DEPTH) + " levels";
  }
  return why_not_json(line, error_message(error));
}

/// Finds the fields that count in a line, or what is wrong with them.
class LineFields {
 public:
  LineFields(simdjson::dom::element root, const DocumentFields& fields)
      : text_{fields.text, {}}, problem_(find(root, fields.marks)) {}

  /// Puts them into a document. `exact` says that the numbers are those of the line.
  Document document(std::string_view line, bool exact) {
    Document document;
    if (!problem_.empty()) return {};
    if (messages_.value) {
      document.conversation = line;
    } else if (text_.value->get(document.text) != simdjson::SUCCESS) {
      problem_ = named(text_) + ": expected a string";
    } else if (answers_.value) {
      problem_ = exact ? read_answers(*answers_.value, document.text, document.answers)
                       : "beside the field \"answers\": expected numbers of at most 64 bits";
    }
    return problem_.empty() ? document : Document{};
  }

  const std::string& problem() const { return problem_; }

 private:
  struct Field {
    std::string_view name;
    std::optional<simdjson::dom::element> value;
  };

  static std::string named(const Field& field) {
    return "the field \"" + std::string(field.name) + "\"";
  }

  std::string find(simdjson::dom::element root, bool marks) {
    simdjson::dom::object object;
    if (root.is_array()) {
      return "expected one JSON object a line, found an array. jq -c '.[]' FILE writes its items "
             "so";
    }
    if (root.get(object) != simdjson::SUCCESS) {
      return "expected one JSON object a line, found another value";
    }
    for (const auto [key, value] : object) {
      Field* const field = key == text_.name                ? &text_
                           : marks && key == answers_.name  ? &answers_
                           : marks && key == messages_.name ? &messages_
                                                            : nullptr;
      if (field == nullptr) continue;
      if (field->value) return named(*field) + " stands twice";
      field->value = value;
    }
    return contradiction();
  }

  std::string contradiction() {
    // Programs that write every line with the same fields fill those it has not with null.
    for (Field* const field : {&answers_, &messages_}) {
      if (field->value && field->value->is_null()) field->value.reset();
    }
    const bool has_text = text_.value && !(messages_.value && text_.value->is_null());
    if (!has_text && !messages_.value) return named(text_) + " is missing";
    if (!messages_.value) return "";
    if (has_text) {
      return named(text_) +
             " and the field \"messages\": expected one of them. --text-only takes "
             "the text alone";
    }
    return answers_.value ? "the field \"answers\" belongs to a text, found messages" : "";
  }

  Field text_, answers_{"answers", {}}, messages_{"messages", {}};
  std::string problem_;
};

}  // namespace

// The whole line is parsed and checked, not only up to the field: whether a line is bad must not
// depend on the order of its fields.
struct DocumentParser::Json {
  simdjson::dom::parser parser;
};

DocumentParser::DocumentParser(const std::vector<Source>& sources, DocumentFields fields)
    : sources_(sources), fields_(std::move(fields)), json_(std::make_unique<Json>()) {}

DocumentParser::~DocumentParser() = default;

Document DocumentParser::parse(const RecordBatch& batch, const Record& record,
                               std::vector<BadLine>& bad) {
  if (record.too_large) {
    bad.push_back(
        {record.source, record.first_line, "the document that starts here is over the size limit"});
    return {};
  }
  const Source& source = sources_[static_cast<size_t>(record.source)];
  if (source.format == SourceFormat::kText) return {parse_text(batch, record, bad), {}, {}};
  return parse_json(batch, record, bad);
}

Document DocumentParser::parse_json(const RecordBatch& batch, const Record& record,
                                    std::vector<BadLine>& bad) {
  const std::string_view line = batch.view(record);
  simdjson::dom::element root;
  // false says that the batch has its own padding, so that no copy is needed.
  auto error = json_->parser.parse(line.data(), line.size(), false).get(root);
  const bool exact = error != simdjson::NUMBER_ERROR;
  if (!exact) error = json_->parser.parse(with_zeros_for_numbers(line)).get(root);
  if (error != simdjson::SUCCESS) {
    bad.push_back({record.source, record.first_line, reason(error, line)});
    return {};
  }
  LineFields found(root, fields_);
  Document document = found.document(line, exact);
  if (!found.problem().empty()) {
    bad.push_back({record.source, record.first_line, found.problem()});
  }
  return document;
}

std::string_view DocumentParser::parse_text(const RecordBatch& batch, const Record& record,
                                            std::vector<BadLine>& bad) {
  std::string_view rest = batch.view(record);
  if (is_utf8(rest)) return rest;
  cleaned_.clear();
  for (int64_t line = record.first_line; !rest.empty(); ++line) {
    const std::string_view one = rest.substr(0, std::min(rest.find('\n'), rest.size() - 1) + 1);
    if (is_utf8(one)) {
      cleaned_ += one;
    } else {
      bad.push_back({record.source, line, "not valid UTF-8"});
    }
    rest.remove_prefix(one.size());
  }
  return cleaned_;
}

}  // namespace longgen
