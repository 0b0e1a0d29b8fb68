import Primitives
import Testing

@Suite struct MemberListTests {
    private func all(_ list: MemberList, _ members: borrowing Membership) -> [UInt32] {
        var slots: [UInt32] = []
        var slot = list.first
        while let current = slot {
            slots.append(current)
            slot = list.next(after: current, in: members)
        }
        return slots
    }

    /// Two lists over one membership, each slot in at most one of them.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func agreesWithArrays(_ seed: UInt64) {
        var random = Random(seed: seed)
        var members = Membership()
        var lists = [MemberList(), MemberList()]
        var models: [[UInt32]] = [[], []]
        for _ in 0..<300 {
            let slot = UInt32(random.below(40))
            let target = random.below(2)
            if let home = models.firstIndex(where: { $0.contains(slot) }) {
                lists[home].remove(slot, in: &members)
                models[home].removeAll { $0 == slot }
            } else if random.below(3) == 0 {
                lists[target].prepend(slot, in: &members)
                models[target].insert(slot, at: 0)
            } else {
                lists[target].append(slot, in: &members)
                models[target].append(slot)
            }
            for index in 0..<2 {
                let slots = all(lists[index], members)
                #expect(slots == models[index])
                #expect(lists[index].count == models[index].count)
                #expect(lists[index].last == models[index].last)
                #expect(lists[index].isEmpty == models[index].isEmpty)
            }
        }
    }
}
