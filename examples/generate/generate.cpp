// Continues a text with a model, and shows it as it comes: generate MODEL PROMPT
#include <longgen/longgen.h>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

namespace {

void generate(const std::string& directory, std::string_view prompt) {
  const longgen::Model model(directory);
  longgen::Generator generator(model);
  const auto show = [](std::string_view text) {
    std::cout << text << std::flush;
    return true;
  };
  const longgen::Generation result =
      generator.generate(prompt, {.max_tokens = 64, .on_text = show});
  std::cout << std::endl;
  std::cerr << result.tokens.size() << " tokens, " << result.tokens_per_second << " a second\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: generate MODEL PROMPT\n";
    return 2;
  }
  try {
    generate(argv[1], argv[2]);
    return 0;
  } catch (const std::exception& error) {  // longgen::Error among them
    std::cerr << "generate: " << error.what() << '\n';
    return 1;
  }
}
