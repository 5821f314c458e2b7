#include "longgen/cli/list_options.h"

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/cli/options.h"

namespace longgen {
namespace {

int64_t count_of(const std::string& text, const std::string& name) {
  try {
    const int64_t count = parse_count(text, name);
    LG_CHECK(count >= 1, name, ": expected at least 1, found ", text, ".");
    return count;
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// Reads two counts with a character between them, such as 32/8.
std::pair<int64_t, int64_t> pair_of(const std::string& text, char between, const std::string& name,
                                    const std::string& expected) {
  const size_t place = text.find(between);
  if (place == text.npos) {
    throw CLI::ValidationError(name + ": expected " + expected + ", found \"" + text + "\".");
  }
  return {count_of(text.substr(0, place), name), count_of(text.substr(place + 1), name)};
}

NamedShare share_of(const std::string& text, const std::string& name) {
  const size_t colon = text.find(':');
  NamedShare share{text.substr(0, colon), 1};
  if (colon == text.npos) return share;
  const std::string number = text.substr(colon + 1);
  const std::string mistake = number_between(0, 1e9)(number);
  if (mistake.empty()) share.share = std::stod(number);
  if (!mistake.empty() || share.share == 0) {
    throw CLI::ValidationError(name + ": expected a share above 0 after \"" + share.name +
                               ":\", found \"" + number + "\".");
  }
  return share;
}

HeadCounts heads_of(const std::string& text) {
  const auto [queries, keys] = pair_of(text, '/', "--heads", "query heads/KV heads such as 32/8");
  if (queries % keys != 0) {
    throw CLI::ValidationError("--heads " + text +
                               ": expected query heads that are a multiple of the KV heads.");
  }
  return {queries, keys};
}

SequenceCounts sequences_of(const std::string& text) {
  const auto [sequences, tokens] =
      pair_of(text, 'x', "--sequences", "sequences x tokens such as 8x32K");
  return {sequences, tokens};
}

/// Splits at commas. CLI11 would pass over an empty part at the end.
std::vector<std::string> parts_of(const std::string& text, const std::string& name) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t comma = text.find(',', begin);
    parts.push_back(text.substr(begin, comma - begin));
    if (parts.back().empty()) {
      throw CLI::ValidationError(
          name + ": expected values with commas between, found an empty one in \"" + text + "\".");
    }
    if (comma == text.npos) return parts;
    begin = comma + 1;
  }
}

/// Adds a list option of which each part is read by `read`.
template <typename Value, typename Read>
CLI::Option* add_parts_option(CLI::App* app, const std::string& name, std::vector<Value>& values,
                              const std::string& description, const Read& read) {
  const auto read_all = [&values, name, read](const std::string& text) {
    values.clear();
    for (const std::string& part : parts_of(text, name)) values.push_back(read(part));
  };
  return app->add_option_function<std::string>(name, read_all, description)->option_text("LIST");
}

/// Returns the part, if `known` accepts it.
std::string checked(const std::string& part, const CLI::Validator& known, const std::string& name) {
  const std::string mistake = known(part);
  if (!mistake.empty()) throw CLI::ValidationError(name + ": " + mistake);
  return part;
}

}  // namespace

CLI::Option* add_list_option(CLI::App* app, const std::string& name,
                             std::vector<std::string>& values, const std::string& description) {
  return add_parts_option(app, name, values, description,
                          [](const std::string& part) { return part; });
}

CLI::Option* add_choices_option(CLI::App* app, const std::string& name,
                                std::vector<std::string>& values,
                                const std::vector<std::string>& choices,
                                const std::string& description) {
  const auto read = [name, known = one_of(choices)](const std::string& part) {
    return checked(part, known, name);
  };
  return add_parts_option(app, name, values, description, read);
}

CLI::Option* add_counts_option(CLI::App* app, const std::string& name, std::vector<int64_t>& values,
                               const std::string& description) {
  return add_parts_option(app, name, values, description,
                          [name](const std::string& part) { return count_of(part, name); });
}

CLI::Option* add_numbers_option(CLI::App* app, const std::string& name, std::vector<double>& values,
                                double low, double high, const std::string& description) {
  return add_parts_option(app, name, values, description,
                          [name, known = number_between(low, high)](const std::string& part) {
                            return std::stod(checked(part, known, name));
                          });
}

CLI::Option* add_shares_option(CLI::App* app, const std::string& name,
                               std::vector<NamedShare>& values, const std::string& description) {
  return add_parts_option(app, name, values, description, [name, &values](const std::string& part) {
    NamedShare share = share_of(part, name);
    for (const NamedShare& other : values) {
      if (other.name == share.name) {
        throw CLI::ValidationError(name + ": \"" + share.name + "\" comes twice.");
      }
    }
    return share;
  });
}

CLI::Option* add_heads_option(CLI::App* app, std::vector<HeadCounts>& heads,
                              const std::string& description) {
  return add_parts_option(app, "--heads", heads, description, heads_of);
}

CLI::Option* add_sequences_option(CLI::App* app, std::vector<SequenceCounts>& sequences,
                                  const std::string& description) {
  return add_parts_option(app, "--sequences", sequences, description, sequences_of);
}

}  // namespace longgen
