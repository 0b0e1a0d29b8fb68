import Primitives
import Testing

@Suite struct ByteMapTests {
    /// Random operations, checked against a Swift dictionary after each.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func agreesWithADictionary(_ seed: UInt64) {
        var random = Random(seed: seed)
        var map = ByteMap<UInt32>(seed: seed)
        var model: [ByteString: UInt32] = [:]
        for step in 0..<600 {
            let key = ByteString(Array("key \(random.below(60))".utf8.prefix(random.below(12))))
            switch random.below(100) {
            case 0:
                map.removeAll()
                model = [:]
            case 1..<45:
                let old = key.withView { map.set($0, to: UInt32(step)) }
                #expect(old == model.updateValue(UInt32(step), forKey: key))
            case 45..<75:
                let old = key.withView { map.remove($0) }
                #expect(old == model.removeValue(forKey: key))
            default:
                let value = key.withView { map.value($0) }
                #expect(value == model[key])
            }
            let count = map.count
            #expect(count == model.count)
        }
        var left: [ByteString: UInt32] = [:]
        // swift-format-ignore: ReplaceForEachWithForLoop
        map.forEach { left[ByteString($0)] = $1 }
        #expect(left == model)
    }

    @Test func theEmptyKeyIsAKey() {
        var map = ByteMap<Int>(seed: 0)
        let empty = ByteString("")
        empty.withView { _ = map.set($0, to: 1) }
        let value = empty.withView { map.value($0) }
        #expect(value == 1)
    }

    @Test func hashesDependOnTheSeedAndOnEveryByte() {
        let key: ByteString = "a key of more than eight bytes"
        let hash = key.withView { $0.hash(seed: 1) }
        #expect(hash != key.withView { $0.hash(seed: 2) })
        for place in 0..<key.count {
            var bytes = key.bytes
            bytes[place] ^= 1
            #expect(hash != ByteString(bytes).withView { $0.hash(seed: 1) })
        }
    }
}
