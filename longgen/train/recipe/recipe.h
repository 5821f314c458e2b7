// train/recipe/recipe.h: everything that `longgen extend` does, as one TOML file says it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/packing.h"
#include "longgen/model/convert.h"
#include "longgen/plan/activations.h"
#include "longgen/plan/number_format.h"
#include "longgen/train/recipe/schedule.h"

namespace longgen {

/// What a token of a packed sample may attend to.
enum class DocumentMask {
  documents,  ///< each document is a sequence of its own: Sample::doc_starts goes to attention
  none,       ///< the sample is one sequence: documents see those before them
  /// As documents, and every part of one begins with the begin token: PackingOptions::anchor.
  anchor,
};

/// A dataset of a mixture, [[data.sources]].
struct DataSource {
  std::string path;   ///< directory that `longgen prepare` wrote
  double weight = 0;  ///< share of the tokens, in any unit
  PackingMode packing = PackingMode::packed;
  std::string name = {};  ///< what its held-out loss is called; of data.path empty
  bool operator==(const DataSource&) const = default;
};

/// Member names are the keys of the file; docs/recipes.md has types, ranges and meanings. A Recipe
/// that parse_recipe() gives is complete and consistent: no value stands for "default" any more.
struct Recipe {
  struct Model {
    std::string path;    ///< directory of the model to start from
    std::string output;  ///< directory of the run: the extended model, checkpoints, logs
    bool operator==(const Model&) const = default;
  } model;

  struct Architecture {
    std::string layers = "middle:1/3";  ///< for parse_full_layers(), not checked here
    std::string sparse = "sink";        ///< for parse_layer_plan(), not checked here
    int64_t context = 0;                ///< tokens
    RopeChange rope;
    SparseRope sparse_rope = SparseRope::extended;
    bool operator==(const Architecture&) const = default;
  } architecture;

  struct Data {
    std::string path;             ///< directory that `longgen prepare` wrote; empty with sources
    int64_t sequence_length = 0;  ///< tokens of a sample, at most the context
    PackingMode packing = PackingMode::packed;
    DocumentMask mask = DocumentMask::documents;
    int64_t seed = 0;                      ///< order of the samples
    std::vector<DataSource> sources = {};  ///< a mixture in place of path
    bool operator==(const Data&) const = default;
  } data;

  struct Train {
    int64_t batch_size = 1;    ///< sequences per step
    int64_t accumulation = 1;  ///< micro-batches per step; divides batch_size
    int64_t steps = 0;         ///< 0: given as tokens
    int64_t tokens = 0;        ///< 0: given as steps
    double learning_rate = 1e-4;
    ScheduleKind schedule = ScheduleKind::cosine;
    int64_t warmup_steps = 0;
    double final_lr_share = 0.1;
    double weight_decay = 0.1;
    double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
    double clip_norm = 1;                            ///< 0: gradients are not clipped
    int64_t max_skipped_steps = 10;                  ///< in a row; then the run stops with an error
    NumberFormat precision = NumberFormat::float32;  ///< of the computation
    /// The type of the weights that the optimizer changes, of gradients and of moments. bfloat16
    /// goes only with precision bfloat16: there are no masters, updates are rounded
    /// stochastically.
    NumberFormat states = NumberFormat::float32;
    Recomputation recompute = Recomputation::layers;
    Offloading offload = Offloading::none;
    std::string teacher;          ///< "": none; "self", or the directory of a model
    double distill_share = 0;     ///< of the loss; the teacher's part
    int64_t align_steps = 0;      ///< of the first stage; 0: there is none
    double answer_weight = 1;     ///< of tokens that are marked as answers
    double far_weight = 0;        ///< largest weight of tokens that far context helps; 0: off
    int64_t loss_chunk_rows = 0;  ///< 0: what suits the device (kChunkRowsOfDevice)
    int64_t seed = 0;             ///< of whatever training draws besides the order of the samples
    int64_t threads = 0;          ///< 0: all cores

    bool distils() const { return !teacher.empty(); }
    bool teacher_is_self() const { return teacher == "self"; }
    /// Whether the teacher is another model than the one that is trained.
    bool has_teacher_directory() const { return distils() && !teacher_is_self(); }
    bool operator==(const Train&) const = default;
  } train;

  struct Eval {
    int64_t every = 100;  ///< steps; 0: never
    int64_t sequences = 8;
    bool operator==(const Eval&) const = default;
  } eval;

  struct Save {
    int64_t every = 100;  ///< steps; 0: only at the end
    int64_t keep = 2;     ///< checkpoints
    bool operator==(const Save&) const = default;
  } save;

  struct Log {
    int64_t every = 1;  ///< steps
    bool tensorboard = true;
    bool operator==(const Log&) const = default;
  } log;

  /// Tells messages where each value came from. It is no part of a recipe's value, so that any two
  /// are equal.
  struct Origins {
    std::string source;
    std::map<std::string, std::string, std::less<>> places;  ///< by key
    bool operator==(const Origins&) const { return true; }
  } origins;

  int64_t tokens_per_step() const { return train.batch_size * data.sequence_length; }
  /// train.steps, or as many as see at least train.tokens.
  int64_t total_steps() const;
  Schedule schedule() const;
  /// The datasets: data.sources, or the one at data.path.
  std::vector<DataSource> datasets() const;
  /// The key that names the path of one of them: "data.path", or "data.sources[1].path".
  std::string path_key(size_t dataset) const;
  /// The beginning of a message about this key's value: "run.toml: line 7: architecture.layers",
  /// "--set architecture.layers=all", or, for a default, "run.toml: architecture.layers".
  std::string where(std::string_view key) const;

  bool operator==(const Recipe&) const = default;
};

/// Reads the text of a recipe. `source` names it in messages. Each override is "KEY=VALUE" as given
/// to --set, for example "train.steps=20"; VALUE is read as TOML, and as a string where that fails.
/// Overrides win over the text, later ones over earlier ones, and train.steps over the text's
/// train.tokens (and the other way round), as data.path over its data.sources.
/// Throws Error naming source, line, key, what was expected and what was found: on syntax errors,
/// unknown keys (with the nearest known one), wrong types, values out of range, missing values, and
/// values that contradict each other.
Recipe parse_recipe(std::string_view text, const std::string& source,
                    const std::vector<std::string>& overrides = {});
/// Does the same for a file of at most 1 MiB.
Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides = {});

/// The recipe as TOML with every value, defaults too. parse_recipe(dump_recipe(x)) == x.
std::string dump_recipe(const Recipe& recipe);

/// Every key as "section.key", in the order of the file.
std::vector<std::string> recipe_keys();

/// Hash of all that decides the weights at the end, as 16 hex digits: a run may be resumed only
/// with the same one. Left out: model.output, names of data.sources, train.max_skipped_steps,
/// train.recompute, train.offload and train.threads, eval, save, log. train.steps and train.tokens
/// count as the total number of steps. Paths are hashed as text; what stands in them has hashes of
/// its own (directory_hash, the dataset's manifest).
std::string recipe_hash(const Recipe& recipe);
/// One line for each value that recipe_hash covers and that differs: "train.batch_size: 16
/// before, 8 now". Empty exactly if the hashes are the same.
std::vector<std::string> resume_differences(const Recipe& saved, const Recipe& now);

}  // namespace longgen
