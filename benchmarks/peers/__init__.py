"""The same model behind what a team would use instead. These files run in the environments of the peers: nothing of this project is
imported here but the folder itself.
"""
