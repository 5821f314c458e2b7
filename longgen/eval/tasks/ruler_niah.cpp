#include "longgen/eval/tasks/ruler_niah.h"

#include <array>
#include <cstdio>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/answer_score.h"
#include "longgen/eval/niah.h"
#include "longgen/eval/tasks/ruler_item.h"

namespace longgen {
namespace {

constexpr int64_t kNewTokens = 128;
constexpr int64_t kNumDepths = 40;
// So many draws that running out means a fault: keys and values are rare in any text.
constexpr int kMaxDraws = 100;

/// Returns depth i of RULER's 40, evenly spaced from 0 to 100 and rounded to whole percents.
int64_t depth_percent(int64_t i) { return (200 * i + kNumDepths - 1) / (2 * (kNumDepths - 1)); }

/// Makes a version 4 UUID (RFC 9562).
std::string draw_uuid(RandomStream& random) {
  const uint64_t high = (random.next() & ~uint64_t{0xF000}) | 0x4000;
  const uint64_t low = (random.next() & ~(uint64_t{3} << 62)) | uint64_t{2} << 62;
  std::array<char, 37> text;
  std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx",
                static_cast<unsigned>(high >> 32), static_cast<unsigned>(high >> 16 & 0xFFFF),
                static_cast<unsigned>(high & 0xFFFF), static_cast<unsigned>(low >> 48),
                static_cast<unsigned long long>(low & 0xFFFFFFFFFFFF));
  return text.data();
}

/// What is hidden and asked for in a sample.
struct Needles {
  std::vector<std::string> sentences;  // in the order in which they stand in the text
  std::vector<int64_t> depths_percent;
  std::vector<std::string> asked_keys, answers;

  std::string query() const {
    std::string query = asked_keys[0];
    for (size_t i = 1; i < asked_keys.size(); ++i) {
      query += (i + 1 == asked_keys.size() ? ", and " : ", ") + asked_keys[i];
    }
    return query;
  }
};

class NiahTask : public LongTask {
 public:
  NiahTask(const NiahSettings& settings, std::shared_ptr<const TaskMaterial> material)
      : settings_(settings),
        material_(std::move(material)),
        value_kind_(settings.uuid_values ? "uuids" : "numbers") {
    if (!settings_.uuid_keys) {
      adjectives_ = material_->words("words/adjectivelist.txt");
      nouns_ = material_->words("words/nounlist.txt");
    }
    if (settings_.haystack == NiahHaystack::essay) material_->text();
  }

  std::string name() const override { return settings_.name; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    check_sample(name(), length_tokens, index);
    RandomStream random(material_->key(name(), length_tokens, index));
    for (int draw = 0; draw < kMaxDraws; ++draw) {
      const Needles needles = draw_needles(random);
      PromptText text = fill(needles, length_tokens, random.next());
      if (!is_unambiguous(needles, text.prompt)) continue;
      return ruler_item(sample_id(length_tokens, index), std::move(text), needles.answers,
                        kNewTokens, score_all_answers);
    }
    LG_FAIL("[", name(),
            "] expected a text without the needles' keys and values, found them in it "
            "for each of ",
            kMaxDraws, " draws. Give another text.");
  }

 private:
  std::string draw_key(RandomStream& random) const {
    if (settings_.uuid_keys) return draw_uuid(random);
    const std::string& adjective = adjectives_[random.below(adjectives_.size())];
    return adjective + "-" + nouns_[random.below(nouns_.size())];
  }

  std::string draw_value(RandomStream& random) const {
    return settings_.uuid_values ? draw_uuid(random) : draw_niah_number(random);
  }

  Needles draw_needles(RandomStream& random) const {
    Needles needles;
    std::vector<std::string> sentences;
    const std::vector<int64_t> asked =
        draw_ascending(random, settings_.num_asked, settings_.num_keys);
    for (int64_t i = 0, next = 0; i < settings_.num_keys; ++i) {
      const std::string key = draw_key(random);
      const bool is_asked = next < settings_.num_asked && asked[static_cast<size_t>(next)] == i;
      if (is_asked) {
        needles.asked_keys.push_back(key);
        ++next;
      }
      for (int64_t v = 0; v < settings_.values_per_key; ++v) {
        const std::string value = draw_value(random);
        sentences.push_back(niah_needle(value_kind_, key, value));
        if (is_asked) needles.answers.push_back(value);
      }
    }
    const auto count = static_cast<int64_t>(sentences.size());
    for (const int64_t i : shuffled(count, random.next())) {
      needles.sentences.push_back(sentences[static_cast<size_t>(i)]);
    }
    for (const int64_t i : draw_ascending(random, count, kNumDepths)) {
      needles.depths_percent.push_back(depth_percent(i));
    }
    return needles;
  }

  /// Returns the haystack's sentences in the order in which a sample has them.
  Passage passage(uint64_t key) const {
    RandomStream random(key);
    if (settings_.haystack != NiahHaystack::needle) {
      const CountedHaystack& haystack =
          settings_.haystack == NiahHaystack::noise ? material_->noise() : material_->text();
      const auto num_sentences = static_cast<uint64_t>(haystack.haystack().num_sentences());
      return haystack.passage(static_cast<int64_t>(random.below(num_sentences)));
    }
    const auto next = [this, random]() mutable -> std::optional<Piece> {
      const std::string other = draw_key(random);
      std::string sentence = niah_needle(value_kind_, other, draw_value(random));
      const int64_t tokens = added_tokens(material_->tokenizer(), "\n", sentence).value_or(1);
      return Piece{std::move(sentence), tokens};
    };
    return Passage(next, "\n");
  }

  PromptText fill(const Needles& needles, int64_t length_tokens, uint64_t key) const {
    Passage sentences = passage(key);
    const bool several = settings_.num_asked * settings_.values_per_key > 1;
    const auto compose = [&](int64_t num_sentences) {
      std::vector<Insertion> insertions;
      for (size_t i = 0; i < needles.sentences.size(); ++i) {
        insertions.push_back(
            {num_sentences * needles.depths_percent[i] / 100, needles.sentences[i]});
      }
      return niah_prompt(value_kind_, several, sentences.text(num_sentences, insertions),
                         needles.query());
    };
    return material_->fitter()
        .fit(
            {name(), length_tokens, kNewTokens},
            [&](int64_t max_tokens) { return sentences.most(max_tokens); }, compose)
        .text;
  }

  /// Whether each answer stands in the prompt once, and only the asked keys' needles name them.
  bool is_unambiguous(const Needles& needles, const std::string& prompt) const {
    for (const std::string& answer : needles.answers) {
      if (count_in(prompt, answer) != 1) return false;
    }
    for (const std::string& key : needles.asked_keys) {
      if (count_in(prompt, " for " + key + " is: ") != settings_.values_per_key) return false;
    }
    return true;
  }

  NiahSettings settings_;
  std::shared_ptr<const TaskMaterial> material_;
  std::string value_kind_;
  std::vector<std::string> adjectives_, nouns_;
};

}  // namespace

const std::vector<NiahSettings>& niah_settings() {
  using enum NiahHaystack;
  static const std::vector<NiahSettings> settings = {
      {"niah_single_1", noise, false, false, 1, 1, 1},
      {"niah_single_2", essay, false, false, 1, 1, 1},
      {"niah_single_3", essay, false, true, 1, 1, 1},
      {"niah_multikey_1", essay, false, false, 4, 1, 1},
      {"niah_multikey_2", needle, false, false, 1, 1, 1},
      {"niah_multikey_3", needle, true, true, 1, 1, 1},
      {"niah_multivalue", essay, false, false, 1, 4, 1},
      {"niah_multiquery", essay, false, false, 4, 1, 4},
  };
  return settings;
}

std::unique_ptr<LongTask> make_niah_task(const NiahSettings& settings,
                                         std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<NiahTask>(settings, std::move(material));
}

}  // namespace longgen
