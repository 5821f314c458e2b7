#include "longgen/eval/needle.h"

#include <cmath>
#include <set>

#include "longgen/eval/needle_words.h"
#include "test_support.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

/// Words and stops that merge across the ends of sentences, because no regex keeps them apart: the
/// sum of the sentences' tokens is not the tokens of the text.
Tokenizer merging_tokenizer() {
  Json json = byte_level_json();
  json["pre_tokenizer"]["use_regex"] = false;
  Json& vocab = json["model"]["vocab"];
  int id = 400;
  const auto merge = [&](const std::string& left, const std::string& right) {
    vocab[left + right] = id++;
    json["model"]["merges"].push_back(left + " " + right);
  };
  merge(".", "Ġ");
  merge(".Ġ", "T");
  merge(".", "Ċ");
  merge(".Ċ", "T");
  merge("h", "e");
  merge(".ĊT", "he");
  merge("Ġ", "i");
  merge("Ġi", "s");
  merge("Ġ", "s");
  merge("o", "u");
  return make_tokenizer(json);
}

/// Adds <s> before and </s> after a text, as some tokenizers do.
Tokenizer bos_eos_tokenizer() {
  Json json = sentencepiece_json();
  const auto token = [](const char* id) {
    return Json{{"SpecialToken", {{"id", id}, {"type_id", 0}}}};
  };
  const auto entry = [](const char* name, int id) {
    return Json{{"id", name}, {"ids", {id}}, {"tokens", {name}}};
  };
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {token("<s>"), {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, token("</s>")}},
      {"pair", Json::array()},
      {"special_tokens", {{"<s>", entry("<s>", 1)}, {"</s>", entry("</s>", 2)}}}};
  return make_tokenizer(json);
}

/// A text of sentences of 3 to 40 words, each of them different.
std::string long_text(int num_sentences) {
  std::mt19937 random(7);
  const std::vector<std::string> words = {"house", "abc", "the", "stone", "soup", "is", "cabbage"};
  std::string text;
  for (int i = 0; i < num_sentences; ++i) {
    text += "The " + std::to_string(i);
    for (unsigned word = random() % 38; word > 0; --word) text += " " + words[random() % 7];
    text += i % 9 == 0 ? ".\n\n" : ". ";
  }
  return text;
}

constexpr int64_t kNewTokens = 30;

/// What holds of every sample, whatever the tokenizer.
void check_sample(const NeedleTask& task, const Tokenizer& tokenizer, const NeedleSample& sample,
                  int64_t length) {
  const int64_t used = static_cast<int64_t>(sample.ids.size()) + kNewTokens;
  EXPECT_LE(used, length);
  int64_t longest = 0;  // sentence, in tokens, with room for what merges at its ends
  for (int64_t i = 0; i < task.haystack().num_sentences(); ++i) {
    const std::string sentence = "\n" + std::string(task.haystack().sentence(i));
    longest = std::max(longest, static_cast<int64_t>(tokenizer.encode(sentence).size()) + 4);
  }
  EXPECT_GT(used, length - longest);
  EXPECT_EQ(count_of(sample.text, sample.needle), 1);
  EXPECT_EQ(count_of(sample.text, sample.answer), 1);
  EXPECT_EQ(sample.answer.size(), 7u);
  EXPECT_EQ(sample.needle,
            "One of the special magic numbers for " + sample.key + " is: " + sample.answer + ".");
}

struct LengthCase {
  const char* name;
  Tokenizer (*make)();
  bool noise;
};

class NeedleLength : public ::testing::TestWithParam<LengthCase> {};

TEST_P(NeedleLength, IsNeverExceededAndNearlyUsed) {
  const Tokenizer tokenizer = GetParam().make();
  const Haystack haystack =
      GetParam().noise ? Haystack::noise() : Haystack::from_text(long_text(400), "t");
  NeedleOptions options;
  options.new_tokens = kNewTokens;
  const NeedleTask task(tokenizer, haystack, options);
  int64_t shortest = 0;  // the question alone has the tokens of its characters
  for (const int64_t length : {200, 400, 500, 777, 1024, 2000, 5003, 12000, 20000}) {
    for (const double depth : {0.0, 33.3, 50.0, 100.0}) {
      try {
        SCOPED_TRACE(::testing::Message() << length << " tokens, depth " << depth);
        check_sample(task, tokenizer, task.sample(length, depth, 3), length);
        shortest = shortest == 0 ? length : shortest;
      } catch (const Error& error) {
        EXPECT_TRUE(contains(error.what(), "Choose a longer length")) << length;
        EXPECT_EQ(shortest, 0) << length;  // a longer one never fails
      }
    }
  }
  EXPECT_GT(shortest, 0);
  EXPECT_LE(shortest, 777);
}

INSTANTIATE_TEST_SUITE_P(
    Tokenizers, NeedleLength,
    ::testing::Values(
        LengthCase{"bytes_text", [] { return make_tokenizer(byte_level_json()); }, false},
        LengthCase{"bytes_noise", [] { return make_tokenizer(byte_level_json()); }, true},
        LengthCase{"merging_text", merging_tokenizer, false},
        LengthCase{"merging_noise", merging_tokenizer, true},
        LengthCase{"pieces_text", bos_eos_tokenizer, false},
        LengthCase{"pieces_noise", bos_eos_tokenizer, true}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(Needle, TheIdsAreThoseOfTheText) {
  const Tokenizer plain = merging_tokenizer(), special = bos_eos_tokenizer();
  const NeedleSample a = NeedleTask(plain, Haystack::noise()).sample(4000, 40, 0);
  EXPECT_EQ(a.ids, plain.encode(a.text));
  // BOS stands before them; EOS does not, because the model is to go on.
  const NeedleSample b = NeedleTask(special, Haystack::noise()).sample(4000, 40, 0);
  std::vector<int32_t> expected = special.encode(b.text);
  expected.insert(expected.begin(), 1);
  EXPECT_EQ(b.ids, expected);
}

TEST(Needle, StandsInRulersPrompt) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleSample sample = NeedleTask(tokenizer, Haystack::noise()).sample(900, 100, 0);
  const std::string refrain(Haystack::noise().sentence(0));
  std::string haystack;
  for (int64_t i = 0; i < sample.num_sentences; ++i) haystack += refrain + "\n";
  EXPECT_GT(sample.num_sentences, 0);
  EXPECT_EQ(sample.text,
            "A special magic number is hidden within the following text. Make sure to memorize it. "
            "I will quiz you about the number afterwards.\n" +
                haystack + sample.needle + "\nWhat is the special magic number for " + sample.key +
                " mentioned in the provided text? The special magic number for " + sample.key +
                " mentioned in the provided text is");
}

TEST(Needle, StandsAtTheSentenceEndNearestToTheDepth) {
  for (const Tokenizer& tokenizer : {merging_tokenizer(), bos_eos_tokenizer()}) {
    for (const bool noise : {true, false}) {
      const Haystack haystack =
          noise ? Haystack::noise() : Haystack::from_text(long_text(300), "t");
      const NeedleTask task(tokenizer, haystack);
      constexpr int64_t kLength = 9000;
      for (const double depth : {0.0, 10.0, 37.5, 50.0, 90.0, 100.0}) {
        const NeedleSample sample = task.sample(kLength, depth, 1);
        const size_t needle = sample.text.find(sample.needle);
        const size_t begin = sample.text.find('\n') + 1;  // of the haystack
        const size_t end = sample.text.rfind("\nWhat is the special");
        // Bytes and tokens are close to proportional here, so the text itself is the judge.
        const double share = static_cast<double>(needle - begin) /
                             static_cast<double>(end - begin - sample.needle.size());
        EXPECT_NEAR(100 * share, depth, 3);  // half a sentence of up to 400 tokens in 8,600
        EXPECT_NEAR(sample.depth_percent, depth, 2.5);
        EXPECT_TRUE(depth != 0 || needle == begin);
        EXPECT_TRUE(depth != 100 || needle + sample.needle.size() == end);
        const char before = sample.text[needle - 1];
        EXPECT_TRUE(needle == begin || before == (noise ? '\n' : ' '));
        EXPECT_TRUE(needle == begin || sample.text[needle - 2] == '.');
        // The ids before needle_begin_tokens are the text before the needle.
        const std::span<const int32_t> ids(sample.ids);
        const auto split = static_cast<size_t>(sample.needle_begin_tokens);
        const std::string head = tokenizer.decode(ids.first(split), true);
        EXPECT_TRUE(sample.text.starts_with(head)) << head.substr(head.size() - 20);
        EXPECT_NEAR(static_cast<double>(head.size()), static_cast<double>(needle), 3);
      }
    }
  }
}

TEST(Needle, ASampleDependsOnItsCellAlone) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const auto text = [] { return Haystack::from_text(long_text(200), "t"); };
  const NeedleTask fresh(tokenizer, text()), used(tokenizer, text());
  for (const int64_t length : {3000, 900, 8000}) used.sample(length, 25, 0);
  const NeedleSample a = fresh.sample(2000, 50, 4), b = used.sample(2000, 50, 4);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.answer, b.answer);
  EXPECT_EQ(fresh.sample(2000, -0.0, 4).text, fresh.sample(2000, 0.0, 4).text);
}

TEST(Needle, SamplesDifferByIndexCellAndSeed) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  NeedleOptions other;
  other.seed = 43;
  const NeedleTask task(tokenizer, Haystack::noise()), seeded(tokenizer, Haystack::noise(), other);
  std::set<std::string> answers = {seeded.sample(800, 50, 0).answer};
  for (int64_t i = 0; i < 20; ++i) answers.insert(task.sample(800, 50, i).answer);
  answers.insert(task.sample(801, 50, 0).answer);
  answers.insert(task.sample(800, 51, 0).answer);
  EXPECT_EQ(answers.size(), 23u);
}

TEST(Needle, IsTheSameOnEveryMachine) {
  // A change of this line changes every published figure: it needs a reason.
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleSample sample = NeedleTask(tokenizer, Haystack::noise()).sample(1000, 50, 0);
  EXPECT_EQ(sample.key + " " + sample.answer, "silver-paddle 5691127");
}

TEST(Needle, AShortHaystackIsRepeated) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleTask task(tokenizer, Haystack::from_text("First one. Second one.", "t"));
  const NeedleSample sample = task.sample(2000, 50, 0);
  EXPECT_GT(sample.num_sentences, 50);
  EXPECT_TRUE(contains(sample.text, "Second one. First one. Second one."));
}

TEST(Needle, NeverTakesSentencesThatSpellSpecialTokens) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());  // <|end|> is special
  const NeedleTask task(tokenizer,
                        Haystack::from_text("Good one. Bad <|end|> one. Fine one.", "t"));
  const NeedleSample sample = task.sample(2000, 50, 0);
  EXPECT_EQ(count_of(sample.text, "Bad"), 0);
  EXPECT_TRUE(contains(sample.text, "Good one. Fine one."));
  const NeedleTask hopeless(tokenizer, Haystack::from_text("<|end|> a. <|end|> b.", "bad.txt"));
  EXPECT_TRUE(fails_with([&] { hopeless.sample(2000, 50, 0); },
                         "bad.txt: expected sentences to hide the needle among"));
}

TEST(Needle, SentencesCannotSpellASpecialTokenTogether) {
  Json json = byte_level_json();
  json["added_tokens"].push_back(
      {{"id", 5000}, {"content", "stop. Go"}, {"special", true}, {"normalized", false}});
  const Tokenizer tokenizer = make_tokenizer(json);
  const Haystack haystack = Haystack::from_text("Please stop. Go now. Fine one.", "t");
  const int32_t end = *tokenizer.token_id("<|end|>");
  NeedleOptions chat;
  chat.wrap = [](const std::string& prompt) -> WrappedPrompt {
    return {"<|end|>" + prompt + "\n", {{0, 7}}};
  };
  for (const NeedleOptions& options : {NeedleOptions{}, chat}) {
    const NeedleTask task(tokenizer, haystack, options);
    const NeedleSample sample = task.sample(2000, 50, 0);
    EXPECT_TRUE(contains(sample.text, "Please stop. Go now."));
    std::vector<int32_t> special;
    std::copy_if(sample.ids.begin(), sample.ids.end(), std::back_inserter(special),
                 [&](int32_t id) { return tokenizer.is_special(id); });
    EXPECT_EQ(special, options.wrap ? std::vector<int32_t>{end} : std::vector<int32_t>{});
  }
}

TEST(Needle, DrawsAgainWhenTheHaystackHoldsTheKey) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleTask plain(tokenizer, Haystack::from_text("Just words here.", "t"));
  const std::string key = plain.sample(1500, 50, 0).key;
  const NeedleTask task(tokenizer, Haystack::from_text("Just " + key + " here.", "t"));
  const NeedleSample sample = task.sample(1500, 50, 0);
  EXPECT_NE(sample.key, key);
  EXPECT_EQ(count_of(sample.text, sample.key), 3);
  std::string all;  // every key there is
  for (const auto adjective : kNeedleAdjectives) {
    for (const auto noun : kNeedleNouns) {
      (all += adjective) += '-';
      (all += noun) += ' ';
    }
  }
  const NeedleTask hopeless(tokenizer, Haystack::from_text(all, "keys.txt"));
  EXPECT_TRUE(fails_with([&] { hopeless.sample(80000, 50, 0); },
                         "keys.txt: expected a text without the needle's key"));
}

TEST(Needle, AChatFormatCountsAndTheAnswerBeginsAfterIt) {
  const Tokenizer tokenizer = bos_eos_tokenizer();
  NeedleOptions options;
  options.new_tokens = kNewTokens;
  options.wrap = [](const std::string& prompt) -> WrappedPrompt {
    const size_t end = 9 + prompt.size();
    return {"<s>[user]" + prompt + "</s>[reply]\n", {{0, 9}, {end, end + 12}}};
  };
  const NeedleTask task(tokenizer, Haystack::noise(), options);
  const NeedleSample sample = task.sample(3000, 50, 0);
  check_sample(task, tokenizer, sample, 3000);
  EXPECT_EQ(sample.ids, tokenizer.encode(sample.text));  // no BOS but the format's own
  EXPECT_EQ(sample.ids.front(), 1);
  EXPECT_NE(sample.ids[1], 1);
  EXPECT_TRUE(contains(sample.text, "in the provided text?</s>[reply]\n The special magic number"));
  EXPECT_TRUE(sample.text.ends_with(" mentioned in the provided text is"));
}

TEST(Needle, RefusesAChatFormatThatChangesThePrompt) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  NeedleOptions options;
  options.wrap = [](const std::string& prompt) -> WrappedPrompt { return {prompt.substr(1), {}}; };
  const NeedleTask task(tokenizer, Haystack::noise(), options);
  EXPECT_TRUE(fails_with([&] { task.sample(2000, 50, 0); }, "keep the prompt as it is"));
}

TEST(Needle, RefusesImpossibleArguments) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleTask task(tokenizer, Haystack::noise());
  EXPECT_TRUE(fails_with([&] { task.sample(200, 50, 0); }, "128 kept for the reply), found 200"));
  EXPECT_TRUE(fails_with([&] { task.sample(0, 50, 0); }, "length: expected 1 to 67108864"));
  EXPECT_TRUE(fails_with([&] { task.sample(INT64_MAX, 50, 0); }, "length: expected 1 to"));
  EXPECT_TRUE(fails_with([&] { task.sample(2000, -1, 0); }, "depth: expected 0 to 100 percent"));
  EXPECT_TRUE(fails_with([&] { task.sample(2000, 100.1, 0); }, "found 100.1"));
  EXPECT_TRUE(fails_with([&] { task.sample(2000, std::nan(""), 0); }, "depth: expected"));
  EXPECT_TRUE(fails_with([&] { task.sample(2000, 50, -1); }, "index: expected at least 0"));
  NeedleOptions options;
  options.new_tokens = 0;
  EXPECT_TRUE(fails_with([&] { NeedleTask(tokenizer, Haystack::noise(), options); },
                         "new tokens: expected 1"));
}

TEST(Needle, TheShortestLengthThatTheErrorNamesWorks) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const NeedleTask task(tokenizer, Haystack::noise());
  int64_t shortest = 1;
  for (int round = 0; round < 20; ++round) {  // keys differ in length, and so by cell
    try {
      EXPECT_EQ(task.sample(shortest, 50, 0).num_sentences, 0);
      return;
    } catch (const Error& error) {
      const std::string text = error.what();
      shortest = std::max(shortest + 1,
                          static_cast<int64_t>(std::stol(text.substr(text.find("least ") + 6))));
    }
  }
  FAIL() << shortest;
}

TEST(NeedleWords, AreDifferentAndPlain) {
  std::set<std::string_view> words;
  for (const auto word : kNeedleAdjectives) words.insert(word);
  for (const auto word : kNeedleNouns) words.insert(word);
  EXPECT_EQ(words.size(), kNeedleAdjectives.size() + kNeedleNouns.size());
  for (const auto word : words) {
    EXPECT_GE(word.size(), 3u);
    for (const char c : word) EXPECT_TRUE(c >= 'a' && c <= 'z') << word;
  }
}

}  // namespace
}  // namespace longgen
