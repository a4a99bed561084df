"""Change of owner: the protocol core and its proof, plan, execution, fences, rollout, guard."""
