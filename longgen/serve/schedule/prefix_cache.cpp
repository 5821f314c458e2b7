#include "longgen/serve/schedule/prefix_cache.h"

#include <xxhash.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

HeldPage held_page(const BlockPages& pages, int64_t table, int64_t block) {
  return {static_cast<int32_t>(table), static_cast<int32_t>(block), pages.page(table, block)};
}

}  // namespace

/// A block of tokens after its parent.
struct PrefixCache::Node {
  Hash hash;
  Node* parent;  // null: the root's
  Roots::iterator root;
  int64_t end_tokens;  // of all blocks up to this one
  Tokens tokens;
  std::vector<HeldPage> lasting;
  std::vector<HeldPage> window;
  int64_t last_use = 0;  // of its checkpoint; 0: it has none
  int64_t num_children = 0, num_pins = 0;
};

/// What store() is about to add: the pages of the blocks that are not known, and those of the
/// checkpoint.
struct PrefixCache::NewBlocks {
  Node* parent;
  std::vector<Hash> hashes;
  std::vector<std::vector<HeldPage>> lasting;
  std::vector<HeldPage> window;  // first those that the cache owns already
  int64_t num_owned = 0;
  Growth growth;
};

PrefixCache::PrefixCache(const KvLayout& layout, PageOwners& owners, uint64_t key, int hash_bits)
    : layout_(layout),
      owners_(owners),
      key_(key),
      hash_bits_(hash_bits),
      has_windows_(PageDemand(layout).has_windows()) {}

PrefixCache::~PrefixCache() {
  for (size_t page = 0; page < times_owned_.size(); ++page) {
    if (times_owned_[page] > 0) owners_.release(static_cast<PageId>(page));
  }
}

PrefixCache::Hash PrefixCache::hash_of(const void* bytes, size_t count) const {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, count, key_);
  if (hash_bits_ >= 128) return {hash.low64, hash.high64};
  return {hash.low64 % (uint64_t{1} << hash_bits_), 0};
}

PrefixCache::Hash PrefixCache::next_hash(const Hash& before, std::span<const int32_t> block) const {
  const Hash own = hash_of(block.data(), block.size_bytes());
  const std::array<Hash, 2> both = {before, own};
  return hash_of(both.data(), sizeof(both));
}

PrefixCache::Path PrefixCache::walk(const std::string& salt,
                                    std::span<const int32_t> tokens) const {
  Path path;
  const auto root = roots_.find(salt);
  path.hash = hash_of(salt.data(), salt.size());
  if (root == roots_.end()) return path;
  Node* parent = nullptr;
  for (size_t begin = 0; begin + kBlock <= tokens.size(); begin += kBlock) {
    const auto block = tokens.subspan(begin, kBlock);
    const Hash hash = next_hash(path.hash, block);
    const auto found = nodes_.find(hash);
    if (found == nodes_.end()) break;
    Node* const node = found->second.get();
    if (node->parent != parent || node->root != root ||
        !std::equal(block.begin(), block.end(), node->tokens.begin())) {
      break;
    }
    path.nodes.push_back(node);
    path.hash = hash;
    parent = node;
  }
  return path;
}

bool PrefixCache::can_begin_at(const Node& node) const {
  return !has_windows_ || node.last_use > 0;
}

PrefixCache::Match PrefixCache::find(const std::string& salt,
                                     std::span<const int32_t> tokens) const {
  Match match;
  if (tokens.empty()) return match;
  const Path path = walk(salt, tokens.first(tokens.size() - 1));
  if (!path.nodes.empty()) match.matched_tokens = path.nodes.back()->end_tokens;
  for (auto node = path.nodes.rbegin(); node != path.nodes.rend(); ++node) {
    if (!can_begin_at(**node)) continue;
    match.node = *node;
    match.hit_tokens = (*node)->end_tokens;
    break;
  }
  return match;
}

std::vector<HeldPage> PrefixCache::use(const Match& match) {
  std::vector<HeldPage> pages;
  if (match.node == nullptr) return pages;
  refresh(match.node);
  for (const Node* node = match.node; node != nullptr; node = node->parent) {
    pages.insert(pages.end(), node->lasting.begin(), node->lasting.end());
  }
  pages.insert(pages.end(), match.node->window.begin(), match.node->window.end());
  return pages;
}

void PrefixCache::pin(Node* node) { ++node->num_pins; }

void PrefixCache::unpin(Node* node) {
  LG_DCHECK(node->num_pins > 0);
  --node->num_pins;
  prune(node);
}

bool PrefixCache::lasting_pages(const BlockPages& pages, int64_t block,
                                std::vector<HeldPage>& to) const {
  for (int64_t table = 0; table < layout_.num_tables(); ++table) {
    if (!layout_.lasting(table, block)) continue;
    to.push_back(held_page(pages, table, block));
    if (to.back().page == kNoPage) return false;
  }
  return true;
}

bool PrefixCache::window_pages(const BlockPages& pages, int64_t num_tokens,
                               std::vector<HeldPage>& to) const {
  for (int64_t table = 0; table < layout_.num_tables(); ++table) {
    int64_t block = layout_.pattern_of_table(table).oldest_in_window(num_tokens);
    for (; block < num_tokens / kBlock; ++block) {
      if (layout_.lasting(table, block)) continue;
      to.push_back(held_page(pages, table, block));
      if (to.back().page == kNoPage) return false;
    }
  }
  return true;
}

std::optional<PrefixCache::NewBlocks> PrefixCache::gather(const Path& path,
                                                          std::span<const int32_t> tokens,
                                                          const BlockPages& pages) const {
  const auto num_blocks = static_cast<int64_t>(tokens.size()) / kBlock;
  const auto known = static_cast<int64_t>(path.nodes.size());
  NewBlocks blocks;
  blocks.parent = known > 0 ? path.nodes.back() : nullptr;
  Hash hash = path.hash;
  std::unordered_set<Hash, HashOfHash> own;
  for (int64_t block = known; block < num_blocks; ++block) {
    hash = next_hash(hash, tokens.subspan(block * kBlock, kBlock));
    if (nodes_.count(hash) > 0 || !own.insert(hash).second) return std::nullopt;  // other tokens'
    blocks.hashes.push_back(hash);
    if (!lasting_pages(pages, block, blocks.lasting.emplace_back())) return std::nullopt;
    blocks.growth.lasting += static_cast<int64_t>(blocks.lasting.back().size());
  }
  const bool is_known = known == num_blocks && path.nodes.back()->last_use > 0;
  if (is_known) return blocks;
  if (!window_pages(pages, static_cast<int64_t>(tokens.size()), blocks.window)) return std::nullopt;
  const auto others = std::partition(blocks.window.begin(), blocks.window.end(),
                                     [&](const HeldPage& held) { return owns(held.page); });
  blocks.num_owned = others - blocks.window.begin();
  blocks.growth.window = blocks.window.end() - others;
  return blocks;
}

PrefixCache::Node* PrefixCache::store(const std::string& salt, std::span<const int32_t> tokens,
                                      const BlockPages& pages,
                                      const std::function<bool(const Growth&)>& may_grow) {
  LG_DCHECK(!tokens.empty() && tokens.size() % kBlock == 0);
  const Path path = walk(salt, tokens);
  std::optional<NewBlocks> blocks = gather(path, tokens, pages);
  if (!blocks) return nullptr;
  // may_grow() evicts others, and what was counted on is not among them.
  Node* const parent = blocks->parent;
  if (parent != nullptr) pin(parent);
  const std::span<const HeldPage> owned(blocks->window.data(), blocks->num_owned);
  for (const HeldPage& held : owned) own(held);
  Node* end = nullptr;
  if (may_grow(blocks->growth)) {
    end = grow(salt, tokens, std::move(*blocks));
  } else {
    for (const HeldPage& held : owned) disown(held);
  }
  if (parent != nullptr) unpin(parent);
  return end;
}

PrefixCache::Node* PrefixCache::grow(const std::string& salt, std::span<const int32_t> tokens,
                                     NewBlocks blocks) {
  const auto root = roots_.try_emplace(salt).first;
  Node* parent = blocks.parent;
  for (size_t i = 0; i < blocks.hashes.size(); ++i) {
    auto node = std::make_unique<Node>();
    node->hash = blocks.hashes[i];
    node->parent = parent;
    node->root = root;
    node->end_tokens = (parent == nullptr ? 0 : parent->end_tokens) + kBlock;
    const auto block = tokens.subspan(node->end_tokens - kBlock, kBlock);
    std::copy(block.begin(), block.end(), node->tokens.begin());
    node->lasting = std::move(blocks.lasting[i]);
    for (const HeldPage& held : node->lasting) own(held);
    ++(parent == nullptr ? root->second : parent->num_children);
    parent = node.get();
    nodes_.emplace(node->hash, std::move(node));
  }
  if (parent->last_use == 0) {
    parent->window = std::move(blocks.window);
    const std::span<const HeldPage> window = parent->window;
    for (const HeldPage& held : window.subspan(blocks.num_owned)) own(held);
  }
  refresh(parent);
  return parent;
}

void PrefixCache::own(const HeldPage& held) {
  const auto index = static_cast<size_t>(held.page);
  if (index >= times_owned_.size()) times_owned_.resize(index + index / 2 + 1);
  if (times_owned_[index]++ > 0) return;
  owners_.share(held.page);
  ++(pages_.*page_kind(layout_, held.table, held.block));
}

void PrefixCache::disown(const HeldPage& held) {
  if (--times_owned_[static_cast<size_t>(held.page)] > 0) return;
  owners_.release(held.page);
  --(pages_.*page_kind(layout_, held.table, held.block));
}

bool PrefixCache::owns(PageId page) const {
  const auto index = static_cast<size_t>(page);
  return index < times_owned_.size() && times_owned_[index] > 0;
}

/// Makes the checkpoint of a block the one used last; where no layer has a window this may be its
/// first use as one.
void PrefixCache::refresh(Node* node) {
  if (node->last_use > 0) by_use_.erase(node->last_use);
  node->last_use = next_use_++;
  by_use_.emplace(node->last_use, node);
}

void PrefixCache::drop_checkpoint(Node* node) {
  for (const HeldPage& held : node->window) disown(held);
  node->window.clear();
  by_use_.erase(node->last_use);
  node->last_use = 0;
}

/// Removes a block that no one can begin at and none follows, then the one before it if it is such
/// a one now.
void PrefixCache::prune(Node* node) {
  while (node != nullptr && node->last_use == 0 && node->num_children == 0 && node->num_pins == 0) {
    for (const HeldPage& held : node->lasting) disown(held);
    Node* const parent = node->parent;
    const auto root = node->root;
    nodes_.erase(Hash(node->hash));  // by a copy: the hash goes with its node
    if (parent != nullptr) {
      --parent->num_children;
    } else if (--root->second == 0) {
      roots_.erase(root);
    }
    node = parent;
  }
}

bool PrefixCache::evict_one() {
  const int64_t before = num_pages();
  for (auto entry = by_use_.begin(); entry != by_use_.end() && num_pages() == before;) {
    Node* const node = entry->second;
    ++entry;  // the node's own entry goes
    if (node->num_pins > 0) continue;
    if (node->num_children > 0 && node->window.empty()) continue;  // it would free nothing
    drop_checkpoint(node);
    prune(node);
  }
  return num_pages() < before;
}

}  // namespace longgen
