"""What do clients see while something breaks, or somebody makes noise?"""
