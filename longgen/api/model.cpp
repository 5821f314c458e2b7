#include "longgen/api/model_impl.h"
#include "longgen/api/translated.h"
#include "longgen/base/log.h"
#include "longgen/base/warning_handler.h"

namespace longgen {
namespace {

ModelFacts facts_of(const LoadedModel& model) {
  const ModelConfig& config = model.decoder.config();
  return {.family = config.family,
          .num_layers = config.num_layers,
          .full_layers = config.layers.full_layers(),
          .is_hybrid = config.is_hybrid(),
          .width = config.width,
          .num_parameters = config.num_parameters(),
          .vocab_size = model.tokenizer.vocab_size(),
          .context = config.context,
          .original_context = config.original_context};
}

}  // namespace

void set_warning_handler(std::function<void(const std::string& warning)> handler) {
  handle_warnings(std::move(handler));
}

std::vector<int32_t> Model::Impl::encode(std::string_view text, SpecialTokens special) const {
  return loaded.tokenizer.encode(text, {.add_special_tokens = special != SpecialTokens::none,
                                        .parse_special = special == SpecialTokens::spelled});
}

Model::Model(const std::string& directory, const OpenOptions& options) {
  set_quiet(true);  // information is for people at a terminal
  impl_ = translated([&] {
    const ModelOptions names{options.device, options.dtype, options.threads};
    names.check();
    LoadedModel loaded = load_with_tokenizer(directory, names);
    const ModelFacts facts = facts_of(loaded);
    return std::make_shared<const Impl>(
        Impl{directory, names.compute_dtype(), std::move(loaded), facts});
  });
}

const ModelFacts& Model::facts() const { return impl_->facts; }

const std::string& Model::directory() const { return impl_->directory; }

const std::string& Model::dtype() const { return impl_->dtype; }

std::vector<int32_t> Model::encode(std::string_view text, SpecialTokens special) const {
  return impl_->encode(text, special);
}

std::string Model::decode(const std::vector<int32_t>& tokens) const {
  return impl_->loaded.tokenizer.decode(tokens, /*skip_special=*/true);
}

}  // namespace longgen
