#include "longgen/data/document_parser.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

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

/// The field's text, or why there is none.
struct Field {
  std::string_view text;
  std::string problem;
};

Field find_text(simdjson::dom::element root, const std::string& name) {
  simdjson::dom::object object;
  if (root.is_array()) {
    return {{},
            "expected one JSON object a line, found an array. jq -c '.[]' FILE writes its items "
            "so"};
  }
  if (root.get(object) != simdjson::SUCCESS) {
    return {{}, "expected one JSON object a line, found another value"};
  }
  std::optional<simdjson::dom::element> found;
  for (const auto [key, value] : object) {
    if (key != name) continue;
    if (found) return {{}, "the field \"" + name + "\" stands twice"};
    found = value;
  }
  if (!found) return {{}, "the field \"" + name + "\" is missing"};
  std::string_view text;
  if (found->get(text) == simdjson::SUCCESS) return {text, ""};
  return {{}, "the field \"" + name + "\": expected a string"};
}

}  // namespace

// The whole line is parsed and checked, not only up to the field: whether a line is bad must not
// depend on the order of its fields.
struct DocumentParser::Json {
  simdjson::dom::parser parser;
};

DocumentParser::DocumentParser(const std::vector<Source>& sources, std::string text_field)
    : sources_(sources), text_field_(std::move(text_field)), json_(std::make_unique<Json>()) {}

DocumentParser::~DocumentParser() = default;

std::string_view DocumentParser::parse(const RecordBatch& batch, const Record& record,
                                       std::vector<BadLine>& bad) {
  if (record.too_large) {
    bad.push_back(
        {record.source, record.first_line, "the document that starts here is over the size limit"});
    return {};
  }
  const Source& source = sources_[static_cast<size_t>(record.source)];
  return source.format == SourceFormat::kText ? parse_text(batch, record, bad)
                                              : parse_json(batch, record, bad);
}

std::string_view DocumentParser::parse_json(const RecordBatch& batch, const Record& record,
                                            std::vector<BadLine>& bad) {
  const std::string_view line = batch.view(record);
  simdjson::dom::element root;
  // false says that the batch has its own padding, so that no copy is needed.
  auto error = json_->parser.parse(line.data(), line.size(), false).get(root);
  if (error == simdjson::NUMBER_ERROR) {
    error = json_->parser.parse(with_zeros_for_numbers(line)).get(root);
  }
  const Field field =
      error == simdjson::SUCCESS ? find_text(root, text_field_) : Field{{}, reason(error, line)};
  if (!field.problem.empty()) bad.push_back({record.source, record.first_line, field.problem});
  return field.text;
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
