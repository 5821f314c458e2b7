#include "longgen/tokenizer/post_processor.h"

#include "longgen/base/check.h"
#include "longgen/tokenizer/component.h"

namespace longgen {
namespace {

std::vector<int32_t> ids_of(const JsonObject& specials, const std::string& name) {
  LG_CHECK(specials.has(name), specials.where(name),
           ": the template names this token, and it is missing.");
  const JsonObject special = specials.object(name);
  check_keys(special, {"id", "ids", "tokens"});
  const std::vector<int64_t> wide = special.integers("ids", 0, INT32_MAX - 1);
  return {wide.begin(), wide.end()};
}

PostProcessor read_template(const JsonObject& component) {
  check_keys(component, {"type", "single", "pair", "special_tokens"});
  const JsonObject specials = component.object("special_tokens");
  PostProcessor result;
  int num_sequences = 0;
  for (const JsonObject& item : read_objects(component, "single")) {
    check_keys(item, {"Sequence", "SpecialToken"});
    if (item.has("Sequence")) {
      LG_CHECK(item.object("Sequence").string("id") == "A", item.where("Sequence"),
               ": expected the id \"A\".");
      ++num_sequences;
      continue;
    }
    const std::vector<int32_t> ids = ids_of(specials, item.object("SpecialToken").string("id"));
    std::vector<int32_t>& side = num_sequences == 0 ? result.before : result.after;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  LG_CHECK(num_sequences == 1, component.where("single"),
           ": expected the text (Sequence A) once, found ", num_sequences, " times.");
  return result;
}

}  // namespace

PostProcessor PostProcessor::from_json(const JsonObject& root) {
  PostProcessor all;
  for_each_component(root, "post_processor", "processors", [&](const JsonObject& component) {
    const std::string type = component.string("type");
    if (type == "ByteLevel") {
      check_keys(component, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
      return;
    }
    if (type != "TemplateProcessing") {
      refuse_type(component, "post-processor", "Sequence, TemplateProcessing, ByteLevel");
    }
    const PostProcessor one = read_template(component);
    all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
    all.after.insert(all.after.end(), one.after.begin(), one.after.end());
  });
  return all;
}

}  // namespace longgen
