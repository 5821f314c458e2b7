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
  Refs lasting;
  Refs window;
  int64_t last_use = 0;  // of its checkpoint; 0: it has none
  int64_t num_children = 0, num_pins = 0;
  // Are the lasting pages there, and the window ones? Otherwise they are on the host.
  bool is_on_device = false, has_window_on_device = true;
  int64_t num_children_on_device = 0;

  bool has_checkpoint_on(PageTier tier) const {
    return last_use > 0 && has_window_on_device == (tier == PageTier::device);
  }
};

/// What store() is about to add: the pages of the blocks that are not known, and those of the
/// checkpoint.
struct PrefixCache::NewBlocks {
  Node* parent;
  /// Known blocks on the host, whose pages the sequence has on the device.
  std::vector<std::pair<Node*, std::vector<HeldPage>>> back;
  std::vector<Hash> hashes;
  std::vector<std::vector<HeldPage>> lasting;
  std::vector<HeldPage> window;  // first those that the cache owns already
  int64_t num_owned = 0;
  Growth growth;
};

PrefixCache::PrefixCache(const KvLayout& layout, CachedPages& pages, uint64_t key, int hash_bits)
    : layout_(layout),
      pages_(pages),
      key_(key),
      hash_bits_(hash_bits),
      has_windows_(PageDemand(layout).has_windows()) {}

PrefixCache::~PrefixCache() = default;

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

bool PrefixCache::can_begin_at(const Node& node, bool on_host) const {
  if (!on_host && !node.is_on_device) return false;
  return !has_windows_ || (on_host ? node.last_use > 0 : node.has_checkpoint_on(PageTier::device));
}

/// Of a block and those before it.
PrefixCache::Node* PrefixCache::last_on_device(Node* node) {
  while (node != nullptr && !node->is_on_device) node = node->parent;
  return node;
}

/// The pages of the block and those before it that are not held on the device, as one who begins
/// at it needs them.
PrefixCache::Refs PrefixCache::refs_on_host(const Node& end) const {
  Refs refs;
  for (const Node* node = &end; node != nullptr && !node->is_on_device; node = node->parent) {
    refs.insert(refs.end(), node->lasting.begin(), node->lasting.end());
  }
  if (!end.has_window_on_device) {
    refs.insert(refs.end(), end.window.begin(), end.window.end());
  }
  return refs;
}

PrefixCache::Match PrefixCache::find(const std::string& salt, std::span<const int32_t> tokens,
                                     bool on_host) const {
  Match match;
  if (tokens.empty()) return match;
  const Path path = walk(salt, tokens.first(tokens.size() - 1));
  if (!path.nodes.empty()) match.matched_tokens = path.nodes.back()->end_tokens;
  for (auto node = path.nodes.rbegin(); node != path.nodes.rend(); ++node) {
    if (!can_begin_at(**node, on_host)) continue;
    match.node = *node;
    match.on_device = last_on_device(*node);
    match.hit_tokens = (*node)->end_tokens;
    match.pages_to_load = pages_to_load(match);
    break;
  }
  return match;
}

int64_t PrefixCache::pages_to_load(const Match& match) const {
  return match.node == nullptr ? 0 : pages_.num_to_device(refs_on_host(*match.node));
}

bool PrefixCache::load(const Match& match) {
  if (match.node == nullptr) return true;
  if (!pages_.to_device(refs_on_host(*match.node))) return false;
  for (Node* node = match.node; node != nullptr && !node->is_on_device; node = node->parent) {
    set_on_device(node, true);
  }
  if (match.node->has_checkpoint_on(PageTier::host)) move_checkpoint(match.node, PageTier::device);
  return true;
}

int64_t PrefixCache::arrives_at(const Match& match) const {
  if (pages_.num_asked() == pages_.num_arrived()) return 0;
  const auto is_arriving = [this](CachedPages::Ref ref) { return pages_.is_arriving(ref); };
  const auto any_of = [&](const Refs& refs) {
    return std::any_of(refs.begin(), refs.end(), is_arriving);
  };
  bool waits = match.node != nullptr && any_of(match.node->window);
  for (const Node* node = match.node; node != nullptr && !waits; node = node->parent) {
    waits = any_of(node->lasting);
  }
  return waits ? pages_.num_asked() : 0;
}

std::vector<HeldPage> PrefixCache::use(const Match& match) {
  std::vector<HeldPage> pages;
  if (match.node == nullptr) return pages;
  refresh(match.node);
  const auto add = [&](const Refs& refs) {
    for (const CachedPages::Ref ref : refs) pages.push_back(pages_.held(ref));
  };
  for (const Node* node = match.node; node != nullptr; node = node->parent) add(node->lasting);
  add(match.node->window);
  return pages;
}

void PrefixCache::pin(Node* node) { ++node->num_pins; }

void PrefixCache::unpin(Node* node) {
  LG_DCHECK(node->num_pins > 0);
  if (node->num_pins == 1 && only_host_needs(*node)) make_host_room_for(node);
  --node->num_pins;
  trim(node);
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
  for (Node* const node : path.nodes) {
    if (node->is_on_device) continue;
    auto& [block, held] = blocks.back.emplace_back(node, std::vector<HeldPage>());
    if (!lasting_pages(pages, node->end_tokens / kBlock - 1, held)) return std::nullopt;
    blocks.growth.lasting += pages_.num_to_device(block->lasting);
  }
  Hash hash = path.hash;
  std::unordered_set<Hash, HashOfHash> own;
  for (int64_t block = known; block < num_blocks; ++block) {
    hash = next_hash(hash, tokens.subspan(block * kBlock, kBlock));
    if (nodes_.count(hash) > 0 || !own.insert(hash).second) return std::nullopt;  // other tokens'
    blocks.hashes.push_back(hash);
    if (!lasting_pages(pages, block, blocks.lasting.emplace_back())) return std::nullopt;
    blocks.growth.lasting += static_cast<int64_t>(blocks.lasting.back().size());
  }
  const bool is_known =
      known == num_blocks && path.nodes.back()->has_checkpoint_on(PageTier::device);
  if (is_known) return blocks;
  if (!window_pages(pages, static_cast<int64_t>(tokens.size()), blocks.window)) return std::nullopt;
  const auto others = std::partition(blocks.window.begin(), blocks.window.end(),
                                     [&](const HeldPage& held) { return pages_.owns(held.page); });
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
  Node* const on_device = last_on_device(parent);
  for (Node* const node : {parent, on_device}) {
    if (node != nullptr) pin(node);
  }
  Refs owned;
  for (int64_t i = 0; i < blocks->num_owned; ++i) owned.push_back(pages_.hold(blocks->window[i]));
  Node* end = nullptr;
  if (may_grow(blocks->growth)) end = grow(salt, tokens, std::move(*blocks));
  for (const CachedPages::Ref ref : owned) pages_.release(ref, PageTier::device);
  for (Node* const node : {parent, on_device}) {
    if (node != nullptr) unpin(node);
  }
  return end;
}

PrefixCache::Node* PrefixCache::grow(const std::string& salt, std::span<const int32_t> tokens,
                                     NewBlocks blocks) {
  for (const auto& [node, held] : blocks.back) {
    for (size_t i = 0; i < held.size(); ++i) pages_.to_device(node->lasting[i], held[i].page);
    set_on_device(node, true);
  }
  const auto root = roots_.try_emplace(salt).first;
  Node* end = blocks.parent;
  for (size_t i = 0; i < blocks.hashes.size(); ++i) {
    const int64_t begin = end == nullptr ? 0 : end->end_tokens;
    end = add_block(blocks.hashes[i], end, root, tokens.subspan(begin, kBlock), blocks.lasting[i]);
  }
  if (!end->has_checkpoint_on(PageTier::device)) {
    drop_checkpoint(end);
    for (const HeldPage& held : blocks.window) end->window.push_back(pages_.hold(held));
  }
  refresh(end);
  return end;
}

PrefixCache::Node* PrefixCache::add_block(Hash hash, Node* parent, Roots::iterator root,
                                          std::span<const int32_t> tokens,
                                          const std::vector<HeldPage>& lasting) {
  auto node = std::make_unique<Node>();
  node->hash = hash;
  node->parent = parent;
  node->root = root;
  node->end_tokens = (parent == nullptr ? 0 : parent->end_tokens) + kBlock;
  std::copy(tokens.begin(), tokens.end(), node->tokens.begin());
  for (const HeldPage& held : lasting) node->lasting.push_back(pages_.hold(held));
  ++(parent == nullptr ? root->second : parent->num_children);
  set_on_device(node.get(), true);
  return nodes_.emplace(hash, std::move(node)).first->second.get();
}

PrefixCache::ByUse& PrefixCache::by_use(const Node& node) {
  return node.has_window_on_device ? on_device_ : on_host_;
}

/// Makes the checkpoint of a block the one used last; where no layer has a window this may be its
/// first use as one.
void PrefixCache::refresh(Node* node) {
  if (node->last_use > 0) by_use(*node).erase(node->last_use);
  node->last_use = next_use_++;
  by_use(*node).emplace(node->last_use, node);
}

/// Nothing where a block has none.
void PrefixCache::drop_checkpoint(Node* node) {
  const PageTier tier = node->has_window_on_device ? PageTier::device : PageTier::host;
  for (const CachedPages::Ref ref : node->window) pages_.release(ref, tier);
  node->window.clear();
  by_use(*node).erase(node->last_use);
  node->last_use = 0;
  node->has_window_on_device = true;
}

/// Says that its window pages have moved.
void PrefixCache::move_checkpoint(Node* node, PageTier to) {
  by_use(*node).erase(node->last_use);
  node->has_window_on_device = to == PageTier::device;
  by_use(*node).emplace(node->last_use, node);
}

/// Says that its lasting pages have moved.
void PrefixCache::set_on_device(Node* node, bool is_on_device) {
  if (node->is_on_device == is_on_device) return;
  node->is_on_device = is_on_device;
  if (node->parent != nullptr) node->parent->num_children_on_device += is_on_device ? 1 : -1;
}

void PrefixCache::remove(Node* node) {
  const PageTier tier = node->is_on_device ? PageTier::device : PageTier::host;
  for (const CachedPages::Ref ref : node->lasting) pages_.release(ref, tier);
  set_on_device(node, false);
  Node* const parent = node->parent;
  const auto root = node->root;
  nodes_.erase(Hash(node->hash));  // by a copy: the hash goes with its node
  if (parent != nullptr) {
    --parent->num_children;
  } else if (--root->second == 0) {
    roots_.erase(root);
  }
}

/// Are its lasting pages on the device although whoever begins there, or after it, is on the host?
bool PrefixCache::only_host_needs(const Node& node) {
  return node.is_on_device && node.num_children_on_device == 0 &&
         !node.has_checkpoint_on(PageTier::device) && (node.last_use > 0 || node.num_children > 0);
}

/// Removes a block that no one can begin at and none follows, or lets its pages go to the host
/// where only what is on the host needs them; then the one before it, if it is such a one now.
void PrefixCache::trim(Node* node) {
  while (node != nullptr && node->num_pins == 0) {
    Node* const parent = node->parent;
    const auto has_room = [&] { return pages_.num_to_host(node->lasting) <= pages_.host_room(); };
    if (only_host_needs(*node) && !has_room()) forget_on_host(node);
    if (node->last_use == 0 && node->num_children == 0) {
      remove(node);
    } else if (only_host_needs(*node) && has_room()) {
      pages_.to_host(node->lasting);
      set_on_device(node, false);
    } else {
      return;
    }
    node = parent;
  }
}

/// Forgets the checkpoint of a block on the host, and all that follow it there.
void PrefixCache::forget_on_host(Node* node) {
  ++node->num_pins;
  // By their uses: others go, too.
  for (auto entry = on_host_.begin(); entry != on_host_.end();) {
    Node* const other = entry->second;
    const int64_t use = entry->first;
    const Node* at = other;
    while (at != nullptr && at->end_tokens > node->end_tokens) at = at->parent;
    if (at == node && (other == node || other->num_pins == 0)) {
      drop_checkpoint(other);
      trim(other);
    }
    entry = on_host_.upper_bound(use);
  }
  --node->num_pins;
}

/// How many pages go to the host where the checkpoint of a block that is not pinned does.
int64_t PrefixCache::pages_to_host(const Node* node) const {
  int64_t pages = node->has_window_on_device ? pages_.num_to_host(node->window) : 0;
  int64_t children = 0;  // on the device, that stay
  for (const Node* at = node; at != nullptr; at = at->parent, children = 1) {
    const bool is_held =
        at != node && (at->num_pins > 0 || at->has_checkpoint_on(PageTier::device));
    if (!at->is_on_device || is_held || at->num_children_on_device > children) break;
    pages += pages_.num_to_host(at->lasting);
  }
  return pages;
}

/// Evicts from the host until the checkpoint of a block could go there; false where it never can.
bool PrefixCache::make_host_room_for(const Node* node) {
  if (pages_to_host(node) > pages_.host_capacity()) return false;
  // What is evicted may be held in common, so that it is to be counted again.
  while (pages_.host_room() < pages_to_host(node)) {
    if (!evict_from_host()) return false;
  }
  return pages_.host_capacity() > 0;
}

bool PrefixCache::make_host_room(int64_t pages) {
  if (pages > pages_.host_capacity() - pages_.host_promised()) return false;
  while (pages_.host_room() < pages) {
    if (!evict_from_host()) return false;
  }
  return true;
}

bool PrefixCache::evict_from_host() {
  const int64_t before = pages_.host_room();
  for (auto entry = on_host_.begin(); entry != on_host_.end() && pages_.host_room() == before;) {
    Node* const node = entry->second;
    const int64_t use = entry->first;
    if (node->num_pins == 0 && (node->num_children == 0 || !node->window.empty())) {
      drop_checkpoint(node);
      trim(node);
    }
    entry = on_host_.upper_bound(use);
  }
  return pages_.host_room() > before;
}

bool PrefixCache::evict_one() {
  const auto num_staying = [this] { return pages_.on_device().total() - pages_.num_leaving(); };
  const int64_t before = num_staying();
  for (auto entry = on_device_.begin(); entry != on_device_.end() && num_staying() == before;) {
    Node* const node = entry->second;
    ++entry;  // the node's own entry goes
    if (node->num_pins > 0) continue;
    // It would free nothing:
    if (node->num_children_on_device > 0 && node->window.empty()) continue;
    if (make_host_room_for(node)) {
      pages_.to_host(node->window);
      move_checkpoint(node, PageTier::host);
    } else {
      drop_checkpoint(node);
    }
    trim(node);
  }
  return num_staying() < before;
}

}  // namespace longgen
