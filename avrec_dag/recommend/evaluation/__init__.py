"""How well models recommend: on the library's own behaviour (`library`), and on any file of interactions (`avrec evaluate`).

`reading` takes a file in, `splits` says what may be learned from and what is to be found, `ranking` ranks all items for everyone in
batches, `worker` fits and ranks one model in a process of its own, `choosing` finds its settings on the validation part, `running`
leads the workers, `comparing` says how sure a difference is, `told` shows it.
"""
