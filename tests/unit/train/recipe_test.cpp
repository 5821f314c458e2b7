#include "longgen/train/recipe/recipe.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "longgen/base/nearest_name.h"
#include "longgen/model/measured_plan.h"
#include "longgen/plan/presets.h"
#include "longgen/train/log/step_log.h"
#include "longgen/train/recipe/nearest_key.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

const std::string kSmallest = R"([model]
path = "in"
output = "out"
[architecture]
context = 4096
[data]
path = "tokens"
[train]
steps = 100
)";

Recipe smallest(const std::vector<std::string>& overrides = {}) {
  return parse_recipe(kSmallest, "small.toml", overrides);
}

TEST(RecipeTest, DefaultsFillWhatIsNotGiven) {
  const Recipe recipe = smallest();
  EXPECT_EQ(recipe.model.path, "in");
  EXPECT_EQ(recipe.architecture.layers, "middle:1/3");
  EXPECT_EQ(recipe.architecture.rope, RopeChange{});
  EXPECT_EQ(recipe.data.sequence_length, 4096) << "the context";
  EXPECT_EQ(recipe.train.warmup_steps, 5) << "a twentieth of the steps";
  EXPECT_EQ(smallest({"train.steps=101"}).train.warmup_steps, 6) << "rounded up";
  EXPECT_EQ(recipe.total_steps(), 100);
  EXPECT_EQ(recipe.schedule().learning_rate_at(5), 1e-4);
  EXPECT_DOUBLE_EQ(recipe.schedule().learning_rate_at(100), 1e-5);
}

TEST(RecipeTest, EveryKeyIsRead) {
  const Recipe recipe = parse_recipe(R"(
    model = { path = "a b", output = "größe" }
    architecture = { layers = [3, 1, 5], sparse = "sink=2,window=8,stride=4", context = "32K", rope = 5e5, sparse_rope = "original" }
    data = { path = "d", sequence_length = "16k", packing = "whole", mask = "none", seed = 9223372036854775807 }
    [train]
    batch_size = 8
    accumulation = 4
    tokens = "1M"
    learning_rate = 1
    schedule = "linear"
    warmup_steps = 0
    final_lr_share = 0
    weight_decay = -0.0
    beta1 = 0.5
    beta2 = 0.25
    eps = 1e-16
    clip_norm = 0
    max_skipped_steps = 3
    precision = "bfloat16"
    states = "bfloat16"
    recompute = "layers_keep_attention"
    offload = "layer_inputs"
    teacher = "a teacher"
    distill_share = 0.75
    align_steps = 6
    answer_weight = 4
    far_weight = 5.5
    loss_chunk_rows = 7
    seed = 3
    threads = 2
    [eval]
    every = 11
    sequences = 12
    [save]
    every = 13
    keep = 14
    [log]
    every = 15
    tensorboard = false
  )",
                                     "all.toml");
  Recipe want;
  want.model = {"a b", "größe"};
  want.architecture = {"3,1,5",
                       "sink=2,window=8,stride=4",
                       32768,
                       {RopeChange::Kind::kBase, 500000},
                       SparseRope::original};
  want.data = {"d", 16384, PackingMode::whole, DocumentMask::none, INT64_MAX};
  want.train = {.batch_size = 8,
                .accumulation = 4,
                .tokens = 1 << 20,
                .learning_rate = 1,
                .schedule = ScheduleKind::linear,
                .warmup_steps = 0,
                .final_lr_share = 0,
                .weight_decay = 0,
                .beta1 = 0.5,
                .beta2 = 0.25,
                .eps = 1e-16,
                .clip_norm = 0,
                .max_skipped_steps = 3,
                .precision = NumberFormat::bfloat16,
                .states = NumberFormat::bfloat16,
                .recompute = Recomputation::layers_keep_attention,
                .offload = Offloading::layer_inputs,
                .teacher = "a teacher",
                .distill_share = 0.75,
                .align_steps = 6,
                .answer_weight = 4,
                .far_weight = 5.5,
                .loss_chunk_rows = 7,
                .seed = 3,
                .threads = 2};
  want.eval = {11, 12};
  want.save = {13, 14};
  want.log = {15, false};
  EXPECT_EQ(recipe, want) << dump_recipe(recipe);
  EXPECT_EQ(recipe.total_steps(), 8) << "2^20 tokens in steps of 2^17";
  EXPECT_EQ(recipe.origins.places.size(), recipe_keys().size() - 2)
      << "all but train.steps and data.sources";
}

TEST(RecipeTest, TokensGiveStepsRoundedUp) {
  const auto steps = [](const std::string& tokens) {
    return smallest({"train.tokens=" + tokens}).total_steps();
  };
  EXPECT_EQ(steps("1"), 1);
  EXPECT_EQ(steps("4096"), 1);
  EXPECT_EQ(steps("4097"), 2);
  EXPECT_EQ(steps("1152921504606846976"), int64_t{1} << 48);
}

TEST(RecipeTest, DumpReadsBackAsTheSameRecipe) {
  for (const std::vector<std::string>& overrides : std::vector<std::vector<std::string>>{
           {},
           {"train.tokens=20M", "train.learning_rate=3e-4", "train.eps=1e-7"},
           {"train.learning_rate=0.1", "train.clip_norm=333333.3333333333", "train.beta1=0.3"},
           {"architecture.rope=yarn", "train.schedule=constant", "train.recompute=none"},
           {"architecture.rope=keep", "data.packing=whole", "log.tensorboard=false"},
           {"architecture.rope=1234567.891", "train.learning_rate=1.2345678901234567e-12"},
           {"train.teacher=self", "train.far_weight=5", "architecture.sparse_rope=original"},
           {R"(model.path=quo"te\back)", "model.output=日本 \xF0\x9F\x98\x80", "data.path=# ["},
       }) {
    const Recipe recipe = smallest(overrides);
    const std::string text = dump_recipe(recipe);
    const Recipe back = parse_recipe(text, "dump");
    EXPECT_EQ(back, recipe) << text;
    EXPECT_EQ(dump_recipe(back), text);
    EXPECT_EQ(recipe_hash(back), recipe_hash(recipe));
    const size_t num_absent =
        recipe.train.distils() ? 2 : 3;  // steps or tokens; sources; the teacher
    EXPECT_EQ(back.origins.places.size(), recipe_keys().size() - num_absent) << "not complete:\n"
                                                                             << text;
  }
}

TEST(RecipeTest, OverridesAreTomlOrElseText) {
  EXPECT_EQ(smallest({"train.steps=20"}).train.steps, 20);
  EXPECT_EQ(smallest({"train.steps=20", "train.steps=30"}).train.steps, 30) << "the last one wins";
  EXPECT_EQ(smallest({"data.path=/a/b=c"}).data.path, "/a/b=c");
  EXPECT_EQ(smallest({"data.path=\"quoted\""}).data.path, "quoted");
  EXPECT_EQ(smallest({"data.path=2024-01-31"}).data.path, "2024-01-31");
  EXPECT_EQ(smallest({"data.path=007"}).data.path, "007");
  EXPECT_EQ(smallest({"data.path=true"}).data.path, "true");
  EXPECT_EQ(smallest({"architecture.layers=10-19,25"}).architecture.layers, "10-19,25");
  EXPECT_EQ(smallest({"architecture.layers=12"}).architecture.layers, "12");
  EXPECT_EQ(smallest({"architecture.layers=[1,2]"}).architecture.layers, "1,2");
  EXPECT_EQ(smallest({"architecture.context=8K"}).data.sequence_length, 8192);
  EXPECT_EQ(smallest({"architecture.rope=500000"}).architecture.rope.base, 500000);
  EXPECT_EQ(smallest({"train.schedule=linear"}).train.schedule, ScheduleKind::linear);
}

TEST(RecipeTest, AnOverrideOfTheLengthReplacesTheFilesOne) {
  const Recipe tokens = smallest({"train.tokens=8192"});
  EXPECT_EQ(tokens.train.steps, 0);
  EXPECT_EQ(tokens.total_steps(), 2);
  const std::string text = dump_recipe(tokens);
  EXPECT_EQ(parse_recipe(text, "t", {"train.steps=2"}).train.tokens, 0);
}

TEST(RecipeTest, WhereNamesLineOrOverrideOrSource) {
  const Recipe recipe = smallest({"data.mask=none"});
  EXPECT_EQ(recipe.where("architecture.context"), "small.toml: line 5: architecture.context");
  EXPECT_EQ(recipe.where("data.mask"), "--set data.mask=none");
  EXPECT_EQ(recipe.where("architecture.layers"), "small.toml: architecture.layers");
}

TEST(RecipeTest, TheHashCoversWhatDecidesTheWeights) {
  const Recipe base = smallest();
  const std::set<std::string> free = {"model.output",    "train.max_skipped_steps",
                                      "train.recompute", "train.offload",
                                      "train.threads",   "eval.every",
                                      "eval.sequences",  "save.every",
                                      "save.keep",       "log.every",
                                      "log.tensorboard"};
  const std::map<std::string, std::string> other = {{"architecture.context", "8192"},
                                                    {"architecture.rope", "keep"},
                                                    {"architecture.sparse_rope", "original"},
                                                    {"data.sequence_length", "1024"},
                                                    {"data.packing", "whole"},
                                                    {"data.mask", "none"},
                                                    {"data.sources", "[{path='x',weight=1}]"},
                                                    {"train.batch_size", "2"},
                                                    {"train.schedule", "linear"},
                                                    {"train.precision", "bfloat16"},
                                                    {"train.recompute", "none"},
                                                    {"train.offload", "layer_inputs"},
                                                    {"log.tensorboard", "false"},
                                                    {"train.far_weight", "5"},
                                                    {"train.tokens", "90000"}};
  std::set<std::string> hashes = {recipe_hash(base)};
  for (const std::string& key : recipe_keys()) {
    const auto value = other.find(key);
    std::vector<std::string> overrides = {key + "=" +
                                          (value == other.end() ? "0.5" : value->second)};
    // These take no 0.5.
    if (key == "train.accumulation") overrides = {"train.batch_size=2", "train.accumulation=2"};
    if (key == "train.distill_share") overrides = {"train.teacher=self", key + "=0.25"};
    if (key == "train.states") overrides = {"train.precision=bfloat16", "train.states=bfloat16"};
    for (const char* ending : {"steps", "seed", "every", "keep", "sequences", "threads", "_rows"}) {
      if (key.ends_with(ending)) overrides = {key + "=3"};
    }
    const Recipe changed = smallest(overrides);
    ASSERT_NE(dump_recipe(changed), dump_recipe(base)) << key;
    const std::vector<std::string> differences = resume_differences(base, changed);
    if (free.contains(key)) {
      EXPECT_EQ(recipe_hash(changed), recipe_hash(base)) << key;
      EXPECT_TRUE(differences.empty()) << key;
    } else {
      EXPECT_TRUE(hashes.insert(recipe_hash(changed)).second) << key;
      EXPECT_FALSE(differences.empty()) << key;
    }
  }
}

/// The smallest recipe with a mixture in place of data.path.
Recipe mixed(const std::vector<std::string>& overrides = {}, const std::string& more = "") {
  return parse_recipe(
      "[model]\npath = 'in'\noutput = 'out'\n[architecture]\ncontext = 4096\n"
      "[train]\nsteps = 100\n[data]\npacking = 'whole'\n"
      "[[data.sources]]\npath = 'books'\nweight = 0.78\n"
      "[[data.sources]]\npath = 'in/recall/'\nweight = 22\npacking = 'packed'\n" +
          more,
      "mixed.toml", overrides);
}

TEST(RecipeTest, SourcesAreReadAndDumped) {
  const Recipe recipe = mixed();
  const std::vector<DataSource> want = {{"books", 0.78, PackingMode::whole, "books"},
                                        {"in/recall/", 22, PackingMode::packed, "recall"}};
  EXPECT_EQ(recipe.data.sources, want);
  EXPECT_EQ(recipe.datasets(), want);
  EXPECT_EQ(recipe.data.path, "");
  EXPECT_EQ(recipe.where(recipe.path_key(1)), "mixed.toml: line 14: data.sources[1].path");
  const std::string text = dump_recipe(recipe);
  EXPECT_TRUE(contains(text,
                       "\n\n[[data.sources]]\npath = \"books\"\nweight = 0.78\n"
                       "packing = \"whole\"\nname = \"books\"\n\n[[data.sources]]\n"
                       "path = \"in/recall/\"\nweight = 22.0\npacking = \"packed\"\n"
                       "name = \"recall\"\n\n[train]\n"));
  const Recipe back = parse_recipe(text, "dump");
  EXPECT_EQ(back, recipe) << text;
  EXPECT_EQ(dump_recipe(back), text);
  EXPECT_EQ(recipe_hash(back), recipe_hash(recipe));
  const Recipe one = smallest();
  EXPECT_EQ(one.datasets(), (std::vector<DataSource>{{"tokens", 1, PackingMode::packed}}));
  EXPECT_EQ(one.path_key(0), "data.path");
}

TEST(RecipeTest, SourcesCanBeSetAndReplaceThePath) {
  const Recipe set = smallest({R"(data.sources=[{path = "a", weight = 1}])"});
  EXPECT_EQ(set.data.sources, (std::vector<DataSource>{{"a", 1, PackingMode::packed, "a"}}));
  EXPECT_EQ(set.data.path, "");
  EXPECT_EQ(mixed({"data.path=b"}).data.path, "b");
  EXPECT_TRUE(mixed({"data.path=b"}).data.sources.empty());
  EXPECT_EQ(mixed({"data.packing=packed"}).data.sources[0].packing, PackingMode::packed);
}

TEST(RecipeTest, TheHashCoversSources) {
  const Recipe recipe = mixed();
  EXPECT_EQ(
      resume_differences(recipe, mixed({"data.path=b"})),
      (std::vector<std::string>{
          "data.path: none before, \"b\" now",
          "data.sources: [{ path = \"books\", weight = 0.78, packing = \"whole\" }, "
          "{ path = \"in/recall/\", weight = 22.0, packing = \"packed\" }] before, none now"}));
  for (const char* other :
       {R"([{path='books',weight=1},{path='in/recall/',weight=22,packing='packed'}])",
        R"([{path='books',weight=0.78},{path='in/recall/',weight=22}])",
        R"([{path='in/recall/',weight=22,packing='packed'},{path='books',weight=0.78}])"}) {
    EXPECT_NE(recipe_hash(mixed({std::string("data.sources=") + other})), recipe_hash(recipe));
  }
  // Names are of what is told, and may change.
  const Recipe named =
      mixed({"data.sources=[{path='books',weight=0.78,name='novels'},"
             "{path='in/recall/',weight=22,packing='packed'}]"});
  EXPECT_EQ(named.data.sources[0].name, "novels");
  EXPECT_EQ(recipe_hash(named), recipe_hash(recipe));
  EXPECT_TRUE(resume_differences(named, recipe).empty());
}

TEST(RecipeTest, EverySourceHasANameOfItsOwn) {
  const auto names = [](const std::vector<std::string>& tables) {
    std::string list;
    for (const std::string& table : tables) list += "{" + table + ", weight=1},";
    std::vector<std::string> all;
    for (const DataSource& source : smallest({"data.sources=[" + list + "]"}).data.sources) {
      all.push_back(source.name);
    }
    return all;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({"path='a/x'", "path='b/x/'", "path='x', name='y'", "path='./x/.'"}),
            (Names{"x", "x-2", "y", "x-3"}));
  EXPECT_EQ(names({"path='x'", "path='a', name='x'"}), (Names{"x-2", "x"}));
  EXPECT_EQ(names({"path='/'", "path='..'", "path='a/..'"}), (Names{"/", "..", "."}));
  EXPECT_EQ(names({"path='a/ '"}), (Names{"a/ "}));
}

TEST(RecipeTest, StepsAndTokensOfTheSameLengthAreTheSameRun) {
  const Recipe steps = smallest(), tokens = smallest({"train.tokens=409600"});
  EXPECT_NE(steps, tokens);
  EXPECT_EQ(recipe_hash(steps), recipe_hash(tokens));
  EXPECT_EQ(resume_differences(steps, smallest({"train.steps=101", "train.warmup_steps=5"})),
            std::vector<std::string>{"train.steps: 100 before, 101 now"});
  EXPECT_EQ(resume_differences(steps, smallest({"data.mask=none"})),
            std::vector<std::string>{"data.mask: \"documents\" before, \"none\" now"});
}

TEST(RecipeTest, EveryRecipeOfTheProjectParses) {
  int64_t recipes = 0;
  for (const fs::path& file : list_files(fs::path(LONGGEN_SOURCE_DIR) / "recipes")) {
    if (file.extension() != ".toml") continue;
    ++recipes;
    const Recipe recipe = load_recipe(file);
    EXPECT_EQ(parse_recipe(dump_recipe(recipe), "dump"), recipe) << file;
    const bool measured = recipe.architecture.layers.starts_with("measured:");
    EXPECT_TRUE(measured || recipe.architecture.layers == "middle:1/3") << file;
  }
  EXPECT_GE(recipes, 5);
}

TEST(RecipeTest, ThePlanOfTheProjectIsWhatItsRecipesSay) {
  const fs::path root = LONGGEN_SOURCE_DIR;
  const std::string prefix = "measured:", plan = "recipes/plans/smollm2-135m_8k_six.json";
  for (const char* name : {"16k_cpu", "32k_h200", "128k_h200"}) {
    const Recipe recipe =
        load_recipe(root / "recipes" / (std::string("smollm2-135m_") + name + ".toml"));
    EXPECT_EQ(recipe.architecture.layers, prefix + plan) << name;
  }
  EXPECT_EQ(listed_layers(prefix + (root / plan).string(), preset("smollm2-135m")),
            "7,8,17,18,20,23");
}

TEST(RecipeTest, TheProjectsRecipesSayWhatTheirCommentsSay) {
  const fs::path folder = fs::path(LONGGEN_SOURCE_DIR) / "recipes";
  const Recipe cpu = load_recipe(folder / "smollm2-135m_16k_cpu.toml");
  EXPECT_EQ(cpu.total_steps(), 2);
  EXPECT_EQ(cpu.tokens_per_step(), 16384);
  EXPECT_EQ(cpu.schedule().learning_rate_at(1), 2e-5);
  const Recipe gpu = load_recipe(folder / "smollm2-135m_32k_h200.toml");
  EXPECT_EQ(gpu.total_steps(), 320);
  EXPECT_EQ(gpu.tokens_per_step(), 65536);
  EXPECT_EQ(gpu.schedule().learning_rate_at(10), 4e-4);
  const Recipe far = load_recipe(folder / "smollm2-135m_128k_h200.toml");
  EXPECT_EQ(far.total_steps(), 160);
  EXPECT_EQ(far.tokens_per_step(), 131072);
  EXPECT_EQ(far.data.sources.size(), 3u);
  const Recipe large = load_recipe(folder / "llama2-7b_128k_h100.toml");
  EXPECT_EQ(large.total_steps(), 1000);
  EXPECT_EQ(large.tokens_per_step(), 524288);
  EXPECT_EQ(large.schedule().learning_rate_at(20), 2e-5);
  const Recipe llama3 = load_recipe(folder / "llama3-8b_128k_h100.toml");
  EXPECT_EQ(llama3.total_steps(), 1000);
  EXPECT_EQ(llama3.tokens_per_step(), 524288);
  EXPECT_EQ(llama3.architecture.layers, "measured:models/llama3-8b-plan/plan.json");
}

/// docs/recipes.md, as rows of its tables: "section.key" -> cells.
std::map<std::string, std::vector<std::string>> documented_keys() {
  std::istringstream lines(read_file(fs::path(LONGGEN_SOURCE_DIR) / "docs" / "recipes.md"));
  std::map<std::string, std::vector<std::string>> rows;
  std::string line, section;
  while (std::getline(lines, line)) {
    if (line.starts_with("## ")) section = "";
    if (line.starts_with("## [")) section = line.substr(4, line.find(']') - 4);
    if (section.empty() || !line.starts_with("| `")) continue;
    std::vector<std::string>& cells = rows[section + "." + line.substr(3, line.find('`', 3) - 3)];
    std::istringstream rest(line.substr(2));
    for (std::string cell; std::getline(rest, cell, '|');) {
      const size_t first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
      cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
    }
  }
  return rows;
}

TEST(RecipeTest, TheDocumentationHasEveryKeyAndItsDefault) {
  const auto rows = documented_keys();
  const std::vector<std::string> keys = recipe_keys();
  EXPECT_EQ(rows.size(), keys.size());
  std::map<std::string, std::string> defaults;
  std::istringstream dump(dump_recipe(smallest()));
  std::string line, section;
  while (std::getline(dump, line)) {
    if (line.starts_with("[")) section = line.substr(1, line.size() - 2);
    const size_t equals = line.find(" = ");
    if (equals != std::string::npos) {
      defaults[section + "." + line.substr(0, equals)] = line.substr(equals + 3);
    }
  }
  // Documented in words: required, or a function of other values.
  const std::set<std::string> in_words = {
      "model.path",           "model.output",         "data.path",
      "train.steps",          "architecture.context", "train.tokens",
      "data.sequence_length", "train.warmup_steps",   "train.teacher",
      "train.distill_share",  "data.sources"};
  for (const std::string& key : keys) {
    ASSERT_TRUE(rows.contains(key)) << key << " is not in docs/recipes.md";
    const std::vector<std::string>& cells = rows.at(key);
    ASSERT_EQ(cells.size(), 5u) << key;
    if (!in_words.contains(key)) {
      EXPECT_EQ(cells[2], "`" + defaults.at(key) + "`") << key;
    }
    const bool free = key == "model.output" || key == "train.max_skipped_steps" ||
                      key == "train.recompute" || key == "train.offload" ||
                      key == "train.threads" || key.starts_with("eval.") ||
                      key.starts_with("save.") || key.starts_with("log.");
    EXPECT_EQ(cells[3], free ? "may change" : "same") << key;
  }
}

TEST(RecipeTest, TheDocumentationHasEveryNumberOfAStep) {
  const std::string page = read_file(fs::path(LONGGEN_SOURCE_DIR) / "docs" / "recipes.md");
  EXPECT_TRUE(contains(page, "\n| `step` | the step's own number | "));
  for (const StepField& field : step_fields()) {
    const std::string row = detail::concat("\n| `", field.name, "` | `", field.tag, "` | ");
    EXPECT_TRUE(contains(page, row));
  }
}

TEST(NearestKeyTest, FindsWhatWasMeant) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("stpes", "steps"), 1);
  EXPECT_EQ(edit_distance("same", "same"), 0);
  const std::vector<std::string> keys = recipe_keys();
  EXPECT_EQ(nearest_key("train.learing_rate", keys), "train.learning_rate");
  EXPECT_EQ(nearest_key("eval.evry", keys), "eval.every");
  EXPECT_EQ(nearest_key("steps", keys), "train.steps");
  EXPECT_EQ(nearest_key("model.layers", keys), "architecture.layers");
  EXPECT_EQ(nearest_key("train.lr", keys), "");
  EXPECT_EQ(nearest_key(std::string(1'000'000, 'x'), keys), "");
}

/// Whatever bytes a recipe has, the answer is a recipe that survives dump and parse, or an Error.
TEST(RecipeTest, DamagedRecipesGiveAnErrorOrAConsistentRecipe) {
  const std::string text = dump_recipe(smallest());
  std::mt19937 random(7);
  const std::string pieces[] = {"\"", "[", "]",   "\n",  "=",    "{",  "}",    "'''", "\\u0000",
                                "-",  "9", "nan", "inf", "1e99", "\r", "\xFF", "#",   "\xC3\xA9"};
  int good = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text;
    for (int change = static_cast<int>(random() % 3); change >= 0; --change) {
      const size_t at = random() % damaged.size();
      if (random() % 2 == 0) damaged.erase(at, random() % 4);
      damaged.insert(std::min(at, damaged.size()), pieces[random() % std::size(pieces)]);
    }
    try {
      const Recipe recipe = parse_recipe(damaged, "damaged");
      ++good;
      EXPECT_EQ(parse_recipe(dump_recipe(recipe), "dump"), recipe) << damaged;
    } catch (const Error& error) {
      EXPECT_TRUE(contains(error.what(), "damaged: "));
    }
  }
  EXPECT_GT(good, 30);
  EXPECT_LT(good, 2900);
}

}  // namespace
}  // namespace longgen
